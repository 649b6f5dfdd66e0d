"""Keeps calls to URLs that came from outside away from our own network: what a name resolves to decides."""

import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet, also the one inside of a mapped or translated address."""
    ip = _inner(ip_address(address.partition("%")[0]))
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _inner(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    teredo = ip.teredo[1] if ip.teredo else None
    return ip.ipv4_mapped or ip.sixtofour or teredo or ip


class PublicOnly(AbstractResolver):
    """Resolves names of the open internet. A connection goes to the very addresses that were looked at here."""

    def __init__(self, trusted: Collection[str] = (), resolver: AbstractResolver | None = None) -> None:
        """`trusted`: hosts that an operator's settings name, wherever they are."""
        self._trusted, self._resolver = trusted, resolver
        self._opened: AbstractResolver | None = None

    def permits(self, host: str) -> bool:
        """False for the literal address of a place that is not public: nobody would resolve it."""
        try:
            return host in self._trusted or is_public(host)
        except ValueError:  # a name
            return True

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises OSError if one of them is not public."""
        self._opened = self._opened or self._resolver or ThreadedResolver()
        found = await self._opened.resolve(host, port, family)
        if host not in self._trusted and not all(is_public(each["host"]) for each in found):
            raise OSError(f"{host} is not on the open internet")
        return found

    async def close(self) -> None:
        """Close the resolver behind."""
        if self._opened:
            await self._opened.close()

"""Stands before the vendor as its address: passes connections on, counts calls that come, and can stop listening."""

import asyncio
import random
import time

from workers.embedded.ports import is_free

_SEND = b"/Messages.json HTTP/1.1\r\n"  # how the head of a Twilio send begins, after the account
# Below the ports that systems give to clients: a client that is refused must not meet its own socket there.
_PORTS = range(20_000, 32_000)


class Forwarder:
    """A TCP forwarder on a port of its own, known before what it leads to. Nobody listens until `open`."""

    def __init__(self) -> None:
        self.port = next(port for port in random.sample(_PORTS, len(_PORTS)) if is_free(port))
        self.calls: list[float] = []  # when each send came, in seconds since 1970
        self.upstream = 0  # the port to pass on to
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Transport] = set()

    async def open(self, upstream: int | None = None) -> None:
        """Listen, and pass on to this port of the loopback (again to the same)."""
        self.upstream = upstream or self.upstream
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), "127.0.0.1", self.port, backlog=2048)

    async def close(self) -> None:
        """Refuse connections from now on, and break those there are, as a process that ends does."""
        if self._server is None:
            return
        self._server.close()
        for transport in list(self._clients):
            transport.abort()
        await self._server.wait_closed()
        self._server = None

    def joined(self, transport: asyncio.Transport) -> None:
        """A client is there."""
        self._clients.add(transport)

    def left(self, transport: asyncio.Transport) -> None:
        """It is gone."""
        self._clients.discard(transport)

    def seen(self, data: bytes) -> None:
        """What a client wrote. It sends one call at a time, and its head in one piece."""
        if _SEND in data:
            self.calls.append(time.time())


class _Side(asyncio.Protocol):
    """One end of a connection; what comes is written to the other end."""

    transport: asyncio.Transport | None = None
    other: "_Side | None" = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.other and self.other.transport:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other and self.other.transport:
            self.other.transport.close()


class _Client(_Side):
    """The side that calls. What it writes before the vendor's side is there waits."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._waiting: list[bytes] = []
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport
        self._forwarder.joined(self.transport)
        self._connecting = asyncio.create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        self._forwarder.seen(data)
        if self.other:
            super().data_received(data)
        else:
            self._waiting.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.transport:
            self._forwarder.left(self.transport)

    async def _connect(self) -> None:
        vendor = _Side()
        try:
            await asyncio.get_running_loop().create_connection(lambda: vendor, "127.0.0.1", self._forwarder.upstream)
        except OSError:
            if self.transport:
                self.transport.abort()
            return
        assert vendor.transport and self.transport
        if self.transport.is_closing():
            vendor.transport.close()
            return
        vendor.other, self.other = self, vendor
        vendor.transport.writelines(self._waiting)
        self._waiting.clear()

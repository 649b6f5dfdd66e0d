"""Certificates, and servers that speak TLS: a door before each of the test's servers, which themselves have none."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"  # PostgreSQL, "message formats": SSLRequest


@dataclass(frozen=True)
class Pki:
    """Files of one CA: its own certificate, a server's for 127.0.0.1, a client's, and another CA with its client."""

    ca: Path
    server: trustme.LeafCert
    client_cert: Path
    client_key: Path
    other_ca: Path
    stranger_cert: Path
    stranger_key: Path

    def server_context(self, *, clients: bool = False, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """The side of a server; `clients`: it asks for a certificate of our CA."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.configure_cert(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context


def made_in(folder: Path) -> Pki:
    """New ones."""
    ours, other = trustme.CA(), trustme.CA()
    for name, ca in (("ca", ours), ("other-ca", other)):
        ca.cert_pem.write_to_path(folder / f"{name}.pem")
    for name, ca in (("client", ours), ("stranger", other)):
        leaf = ca.issue_cert("client@example.com")
        leaf.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        leaf.private_key_pem.write_to_path(folder / f"{name}.key")
    return Pki(
        folder / "ca.pem",
        ours.issue_cert("127.0.0.1", "localhost"),
        *(folder / name for name in ("client.pem", "client.key", "other-ca.pem", "stranger.pem", "stranger.key")),
    )


@asynccontextmanager
async def door_to(port: int, context: ssl.SSLContext, *, postgres: bool = False) -> AsyncIterator[int]:
    """The port of a door that ends TLS and hands on; `postgres`: TLS begins when a client asks for it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if postgres:
                if await reader.readexactly(8) != _SSL_REQUEST:
                    return writer.close()  # in clear nobody is let in
                writer.write(b"S")
                await writer.start_tls(context)
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_carry(reader, inner_writer), _carry(inner_reader, writer))
        return None

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=None if postgres else context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()

"""The place of a fuzz run: an API on a database of its own, who may call it, and the certificate SNS signs with."""

import asyncio
import os
import secrets
import tempfile
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
from aiohttp import web

from bench.fuzz import schemes
from bench.fuzz.schemes import PUBLIC, Scheme
from bench.fuzz.signing import SnsSigner
from ledger import keys, tenants
from ledger.audit import By
from ledger.database import Database
from ledger.keyring import new_key
from ledger.keys import Role
from ledger.migrate import migrate
from ledger.tenants import Tenant
from settings import Settings
from workers.embedded.foundation import Foundation
from workers.embedded.output import to_file
from workers.embedded.ports import free_ports
from workers.embedded.supervisor import Supervisor
from workers.embedded.temporal import Ports

_BY = By("cli:fuzz")
_OUTSIDE = ("CLARION_DATABASE_URL", "CLARION_REDIS_URL", "CLARION_TEMPORAL_ADDRESS", "CLARION_TEMPORAL_NAMESPACE")


@dataclass(frozen=True)
class House:
    """Where requests go. `keys`: an API key by who calls; None for who has none."""

    settings: Settings
    db: Database
    schemes: Mapping[str, Scheme]
    keys: Mapping[str, str | None]


@asynccontextmanager
async def opened() -> AsyncGenerator[House]:
    """Servers (those that settings name, else embedded ones), a database, tenants and keys. Raises StackError.

    Of this machine's other settings none counts, and the database is dropped in the end.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clarion-fuzz-")))
        home = Path.cwd()
        stack.callback(os.chdir, home)
        _leave_own_settings(folder)
        foundation = await stack.enter_async_context(_servers(folder))
        url = await stack.enter_async_context(_database(foundation.database_url))
        certificate = SnsSigner()
        cert_url = await stack.enter_async_context(_served(certificate.certificate))
        secret, token = _secret(), secrets.token_hex(16)
        known: dict[str, Scheme] = {
            scheme.name: scheme
            for scheme in (
                schemes.Callback(secret, _secret()),
                schemes.SendGridEvents(),
                schemes.TwilioCallback(token),
                schemes.SesTopic(cert_url, certificate),
            )
        }
        os.environ.update(schemes.settings_of(known, secret, token, cert_url))
        os.environ.update(foundation.environment, CLARION_DATABASE_URL=url, CLARION_ENCRYPTION_KEYS=new_key("fuzz"))
        (port,) = free_ports(1)
        settings = Settings.load().model_copy(update={"port": port, "public_url": PUBLIC, "data_dir": folder})
        db = Database(url, pool_size=2, application="clarion fuzz")
        stack.push_async_callback(db.close)
        yield House(settings, db, known, await _callers(db))


def _leave_own_settings(folder: Path) -> None:
    for name in [name for name in os.environ if name.startswith("CLARION_") and name not in _OUTSIDE]:
        if not name.endswith("_BIN"):
            del os.environ[name]
    os.chdir(folder)  # where no .env is


@asynccontextmanager
async def _servers(folder: Path) -> AsyncGenerator[Foundation]:
    postgres, valkey, frontend, http, metrics = free_ports(5)
    ports = Ports(frontend, http, metrics)
    foundation = Foundation(Settings.load(), folder, postgres_port=postgres, valkey_port=valkey, temporal_ports=ports)
    supervisor = Supervisor(to_file(folder / "parts.log"))
    try:
        await foundation.start(supervisor)
        yield foundation
    finally:
        await supervisor.stop()


@asynccontextmanager
async def _database(url: str) -> AsyncGenerator[str]:
    name = f"fuzz_{uuid4().hex}"
    await _execute(url, f"CREATE DATABASE {name}")
    own = f"{url.rpartition('/')[0]}/{name}"
    await migrate(own)
    try:
        yield own
    finally:
        await _execute(url, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@asynccontextmanager
async def _served(certificate: bytes) -> AsyncGenerator[str]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=certificate)

    app = web.Application()
    app.router.add_get("/cert.pem", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/cert.pem"
    finally:
        await asyncio.shield(runner.cleanup())


async def _callers(db: Database) -> Mapping[str, str | None]:
    await tenants.create(db, Tenant("acme", "Acme"), _BY)
    return {
        "tenant": (await keys.create(db, "acme", Role.ADMIN, _BY))[1],
        "operator": (await keys.create(db, None, Role.OPERATOR, _BY))[1],
        "nobody": None,
    }


def _secret() -> str:
    return f"whsec_{b64encode(secrets.token_bytes(24)).decode()}"

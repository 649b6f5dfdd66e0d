"""The API with real parts behind it, called without a socket in between."""

from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
import pytest_asyncio
from api_side import OPENED, client_of, door_of, parts_with
from httpx2 import AsyncClient
from patience import PATIENT, patient_gates
from vaults import vault

from api import server
from api.parts import Parts
from ledger import keys, tenants
from ledger.audit import By
from ledger.database import Database
from ledger.keys import Role
from ledger.tenants import Tenant
from settings import Settings
from throttle.limits import Limiter
from throttle.redis import connect


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not look like a Redis that is gone: then each process decides alone."""
    patient_gates(monkeypatch)
    monkeypatch.setattr(server, "connect_redis", partial(connect, timeout=PATIENT))
    monkeypatch.setattr(server, "Limiter", partial(Limiter, limit=PATIENT))
    monkeypatch.setattr("api.health.WITHIN", PATIENT)


@pytest_asyncio.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A connection pool to an empty, migrated database."""
    database = Database(database_url, vault=vault(), pool_size=5)
    yield database
    await database.close()


@pytest_asyncio.fixture
async def settings(
    db: Database, database_url: str, redis_url: str, temporal_address: str, temporal_namespace: str
) -> AsyncIterator[Settings]:
    """Where everything is; no development mode. What was opened with them is closed before the ledger is."""
    yield Settings(
        database_url=database_url,
        redis_url=redis_url,
        temporal_address=temporal_address,
        temporal_namespace=temporal_namespace,
        dev=False,
    )
    await OPENED.aclose()


@pytest_asyncio.fixture
async def parts(db: Database, settings: Settings, temporal_namespace: str) -> Parts:
    """What handlers need, with all of the channels and none of the vendors."""
    return await parts_with(settings)


@pytest_asyncio.fixture
async def key_of(db: Database) -> Callable[..., object]:
    """Makes keys: `await key_of(Role.SEND)` of tenant `acme`, `await key_of(Role.OPERATOR, None)`."""
    for name in ("acme", "other"):
        await tenants.create(db, Tenant(name, name), By("test"))

    async def make(role: Role, tenant: str | None = "acme") -> str:
        return (await keys.create(db, tenant, role, By("test")))[1]

    return make


@pytest_asyncio.fixture
async def admin(parts: Parts, key_of: Callable[..., object]) -> AsyncIterator[AsyncClient]:
    """A caller who may do all that concerns tenant `acme`."""
    async with client_of(parts, key=await key_of(Role.ADMIN), app=await door_of(parts)) as client:
        yield client

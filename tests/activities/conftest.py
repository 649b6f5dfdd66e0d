"""What activities are tested with: a ledger of the test's own, and what a worker process has."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import pytest
import pytest_asyncio
from patience import patient_gates
from pydantic import SecretStr
from vaults import vault
from workbench import Bench

from activities.breakers import Breakers
from activities.recorder import Recorder
from activities.sending import Means
from ledger.database import Database
from ledger.provider_switches import switches
from providers.base import Provider
from settings import Settings
from throttle.opened import open_gates
from throttle.tally import Tally


@pytest_asyncio.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A connection pool to an empty, migrated database."""
    database = Database(database_url, vault=vault(), pool_size=3)
    yield database
    await database.close()


@pytest_asyncio.fixture
async def bench(db: Database, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Call it with the providers that are set up."""
    patient_gates(monkeypatch)

    @asynccontextmanager
    async def having(providers: Mapping[str, Provider]) -> AsyncIterator[Means]:
        settings = Settings(redis_url=SecretStr(redis_url))
        cards = [provider.card for provider in providers.values()]
        async with open_gates(settings, cards, partial(switches, db)) as gates:
            tally, recorder = Tally(gates.gate, Breakers(db, {}, 0).changed), Recorder(db)
            callback = "http://127.0.0.1:9"
            yield Means(db, recorder, providers, gates.gate, tally, gates.standing, gates.watch, callback)
            await recorder.close()
            await tally.close()

    return having

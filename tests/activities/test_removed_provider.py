"""A provider that is no longer set up: what it left behind goes on by another, and its run does not turn in circles."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from uuid import UUID

import pytest_asyncio
from pydantic import SecretStr
from temporalio.testing import ActivityEnvironment

from activities.breakers import Breakers
from activities.delivering import Activities
from activities.recorder import Recorder
from activities.sending import Means
from domain.channels import EMAIL
from domain.ids import new_id
from domain.messages import Content
from domain.priorities import Priority
from domain.runs import Delivery, State
from domain.submissions import Recipient, Submission
from ledger import deliveries
from ledger.database import Database
from ledger.deliveries import Leg
from ledger.intake import Intake
from ledger.provider_switches import switches
from ledger.settling import LEASE
from settings import Settings
from throttle.opened import open_gates
from throttle.tally import Tally

CHANNEL = replace(EMAIL, route=("gone", "here"))


@pytest_asyncio.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=3)
    yield database
    await database.close()


@asynccontextmanager
async def means(db: Database, redis_url: str) -> AsyncIterator[Means]:
    """What a worker has that has no provider set up."""
    settings = Settings(redis_url=SecretStr(redis_url))
    async with open_gates(settings, [], partial(switches, db)) as gates:
        tally = Tally(gates.gate, Breakers(db, {}, {}, 0).changed)
        yield Means(db, Recorder(db), {}, gates.gate, tally, gates.standing, "http://127.0.0.1:9")


async def test_what_it_left_in_sending_is_doubtful_and_then_sent_by_another(db: Database, redis_url: str) -> None:
    person = Recipient("ada", {"email": "ada@example.org"}, known=True)
    group = [Submission("acme", ("email",), (person,), Content("Hello"), Priority.NORMAL)]
    (batch,) = (await Intake(db, {"email": CHANNEL}, cap=512).accept(group)).batches
    order = Delivery(batch.run.batch, "email", "gone", Priority.NORMAL)
    await deliveries.claim(db, Leg(UUID(order.batch), CHANNEL, "gone", Priority.NORMAL, new_id()), 1)
    await db.run("UPDATE delivery SET claimed_at = now() - make_interval(secs => :lease)", lease=LEASE)

    without = replace(CHANNEL, route=("here",))
    async with means(db, redis_url) as having:
        activities = Activities(having, {"email": without})
        state: State = await ActivityEnvironment().run(activities.deliver, order)
        assert (state.due, state.counts) == ([], {"in_doubt": 1})
        await db.run("UPDATE delivery SET doubt_until = now()")
        state = await ActivityEnvironment().run(activities.deliver, order)
        assert (state.due, state.counts) == (["here"], {"queued": 1})

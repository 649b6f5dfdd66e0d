"""A vendor that honours our keys gets a doubtful send once more under the same key, and takes the message once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest_asyncio
import seeding
from aiohttp import web
from temporalio.testing import ActivityEnvironment
from workbench import Bench
from yarl import URL

from activities.delivering import Activities
from domain.channels import SMS, by_priority
from domain.messages import Card, Message
from domain.outcomes import Answer, accepted
from domain.priorities import Priority
from domain.runs import Delivery, State
from ledger.database import Database
from providers.base import Provider
from providers.http import Http, Reply

CHANNEL = replace(SMS, route=("once", "other"), retry=(0.2, 0.2), timeout=by_priority(30, 30, 30))


class Vendor:
    """Takes one message for each key; `cuts`: how many calls it takes and breaks off instead of an answer."""

    def __init__(self) -> None:
        self.taken: dict[str, str] = {}
        self.calls, self.cuts = 0, 0

    async def take(self, request: web.Request) -> web.Response:
        self.calls += 1
        self.taken[request.headers["Idempotency-Key"]] = await request.text()
        if self.calls <= self.cuts and request.transport is not None:
            request.transport.abort()
        return web.Response(status=201)


class Once(Provider):
    """Hands over to it."""

    card = Card("once", "sms", idempotent_for=3600)

    def __init__(self, url: URL) -> None:
        self._url, self._http = url, Http()

    async def send(self, messages: Sequence[Message], timeout: float) -> Sequence[Answer]:
        """One call."""
        (message,) = messages
        headers = {"Idempotency-Key": str(message.key)}
        reply = await self._http.call("POST", self._url, headers, timeout, message.content.text.encode())
        return [accepted() if isinstance(reply, Reply) else reply]

    async def check(self) -> str:
        """Always well."""
        return "here"

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


@pytest_asyncio.fixture
async def vendor() -> AsyncIterator[tuple[Vendor, Once]]:
    """It listens, and the way to it."""
    vendor, app = Vendor(), web.Application()
    app.router.add_post("/", vendor.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider = Once(URL(f"http://127.0.0.1:{runner.addresses[0][1]}/"))
    yield vendor, provider
    await provider.close()
    await runner.cleanup()


async def _carry(activities: Activities, order: Delivery, most: int = 6) -> State:
    """What a run does, as long as the provider is due."""
    for _ in range(most):
        state: State = await ActivityEnvironment().run(activities.deliver, order)
        if state.due != ["once"]:
            if not state.counts.get("in_doubt") or state.wait is None or state.wait > 5:
                return state
            await asyncio.sleep(state.wait + 0.05)
    raise AssertionError("it turns in circles")


async def _order(db: Database) -> Delivery:
    flush = await seeding.accept(db, seeding.submission(channels=["sms"], recipients=["ann"]))
    await db.run("UPDATE delivery SET provider = 'once'")
    return Delivery(str(seeding.batch_of(flush)), "sms", "once", Priority.NORMAL)


async def test_it_is_repeated_under_its_key_until_there_is_an_answer(
    db: Database, bench: Bench, vendor: tuple[Vendor, Once]
) -> None:
    there, provider = vendor
    there.cuts = 1
    async with bench({"once": provider}) as means:
        state = await _carry(Activities(means, {"sms": CHANNEL}), await _order(db))
    assert state.counts == {"sent": 1}
    assert (there.calls, list(there.taken.values())) == (2, ["Hello"])
    (row,) = await db.run("SELECT key_no, attempt, possible_duplicates FROM delivery")
    assert (row.key_no, row.attempt, row.possible_duplicates) == (1, 2, 0)


async def test_its_tries_end_and_its_doubt_lasts_no_longer_for_them(
    db: Database, bench: Bench, vendor: tuple[Vendor, Once]
) -> None:
    there, provider = vendor
    there.cuts = 99
    async with bench({"once": provider}) as means:
        order = await _order(db)
        activities = Activities(means, {"sms": CHANNEL})
        await ActivityEnvironment().run(activities.deliver, order)
        (first,) = await db.run("SELECT doubt_until FROM delivery")
        await asyncio.sleep(0.3)
        await means.tally.close()
        await ActivityEnvironment().run(activities.deliver, order)
        (second,) = await db.run("SELECT doubt_until, status, tries FROM delivery")
    assert (second.status, second.tries) == ("in_doubt", 2)
    assert second.doubt_until == first.doubt_until
    assert len(there.taken) == 1


async def test_nobody_repeats_at_a_provider_that_takes_nothing(
    db: Database, bench: Bench, vendor: tuple[Vendor, Once]
) -> None:
    there, provider = vendor
    there.cuts = 1
    async with bench({"once": provider}) as means:
        order = await _order(db)
        activities = Activities(means, {"sms": CHANNEL})
        await ActivityEnvironment().run(activities.deliver, order)
        await means.tally.close()
        await means.gate.pause("once", 30)
        await asyncio.sleep(0.3)
        state = await ActivityEnvironment().run(activities.deliver, order)
    assert (state.due, state.counts, there.calls) == ([], {"in_doubt": 1}, 1)
    assert state.held is not None and state.held > 20

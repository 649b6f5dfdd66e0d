"""Sends in hand at a vendor: the urgent go first, and what is under way of others makes room for them."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

import seeding
from temporalio.testing import ActivityEnvironment
from workbench import Bench, Silent

from activities.delivering import Activities
from activities.places import CHUNK, Places
from domain import shares
from domain.channels import SMS
from domain.messages import Message
from domain.outcomes import Answer
from domain.priorities import Priority
from domain.runs import Delivery
from ledger.database import Database
from providers.http import CONNECTIONS

HIGH, NORMAL, LOW = Priority.HIGH, Priority.NORMAL, Priority.LOW
MOST = 64
SOON = 0.12  # seconds: two ticks


def full(places: Places, priority: Priority, n: int = MOST) -> ExitStack:
    """So many sends in hand, until it is closed."""
    held = ExitStack()
    for _ in range(n):
        held.enter_context(places.taken("sendgrid", "acme", priority))
    return held


async def test_of_those_that_wait_the_most_urgent_is_called_first() -> None:
    places, called = Places(), list[Priority]()
    held = full(places, LOW)
    for priority in (LOW, NORMAL, HIGH, NORMAL):
        places.wait("sendgrid", "acme", priority, MOST, lambda each=priority: called.append(each))
    await asyncio.sleep(SOON)
    assert called == []
    held.close()
    await asyncio.sleep(SOON)
    assert called == [HIGH, NORMAL, NORMAL, LOW]


async def test_while_an_urgent_one_waits_the_others_hold_a_quarter_of_the_places() -> None:
    places = Places()
    with full(places, LOW, MOST - CHUNK):
        assert places.room("sendgrid", "acme", LOW, MOST) == CHUNK
        places.wait("sendgrid", "acme", NORMAL, MOST, lambda: None)
        assert places.room("sendgrid", "acme", LOW, MOST) == 0
        assert places.room("sendgrid", "acme", NORMAL, MOST) == CHUNK
    with full(places, LOW, 3):
        assert places.room("sendgrid", "acme", LOW, MOST) == MOST // 4 - 3
    assert places.room("ses", "acme", LOW, MOST) == MOST
    await asyncio.sleep(SOON)
    assert places.room("sendgrid", "acme", LOW, MOST) == MOST


async def test_one_with_little_has_room_also_while_others_hold_more_than_there_should_be_now() -> None:
    places = Places()
    with full(places, NORMAL, 4 * MOST):
        assert places.room("sendgrid", "acme", NORMAL, MOST) == 0
        assert places.room("sendgrid", "small", NORMAL, MOST) == MOST * shares.RESERVE
    assert sum(shares.least(0, MOST, 10) for _ in range(10)) <= MOST


class Slow(Silent):
    """Counts what it has in hand."""

    def __init__(self) -> None:
        self.now = self.most = self.taken = 0

    async def send(self, messages: Sequence[Message], timeout: float) -> Sequence[Answer]:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.3)
        self.now -= 1
        self.taken += 1
        return await super().send(messages, timeout)


async def test_runs_that_look_at_the_same_room_do_not_all_take_it(db: Database, bench: Bench) -> None:
    slow, runs = Slow(), 6
    channel = replace(SMS, route=("silent",))
    everybody = [str(n) for n in range(Silent.card.concurrency)]
    assert runs * len(everybody) > CONNECTIONS
    flushes = [
        await seeding.accept(db, seeding.submission(channels=["sms"], recipients=everybody)) for _ in range(runs)
    ]
    await db.run("UPDATE delivery SET provider = 'silent'")
    orders = [Delivery(str(seeding.batch_of(flush)), "sms", "silent", NORMAL) for flush in flushes]
    async with bench({"silent": slow}) as means:
        activities = Activities(means, {"sms": channel})
        await asyncio.gather(*(ActivityEnvironment().run(activities.deliver, order) for order in orders))
    assert slow.taken == runs * len(everybody)
    assert CHUNK < slow.most <= CONNECTIONS * 3 // 4

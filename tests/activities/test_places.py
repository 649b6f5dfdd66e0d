"""Sends in hand at a vendor: the urgent go first, and what is under way of others makes room for them."""

import asyncio
from contextlib import ExitStack

from activities.places import CHUNK, Places
from domain.priorities import Priority

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

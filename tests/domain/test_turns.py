"""Owners take turns: each gets its share of every round, in order, and nothing is lost; a reserve is for the small."""

import asyncio
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from activities.places import Places
from domain.priorities import Priority
from domain.shares import RESERVE, room
from domain.turns import QUANTUM, Waiting

NORMAL = Priority.NORMAL
Item = tuple[str, int, int]  # owner, number, weight


def waiting() -> Waiting[Item]:
    return Waiting(lambda item: item[2])


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 60)), max_size=200),
    st.integers(1, 100),
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5)),
)
def test_each_owners_items_come_in_order_and_none_is_lost(
    puts: list[tuple[str, int]], cap: int, shares: dict[str, int]
) -> None:
    queue = waiting()
    for n, (owner, weight) in enumerate(puts):
        queue.put(owner, shares.get(owner, 1), (owner, n, weight))
    taken: list[Item] = []
    while group := queue.take(cap):
        assert len(group) == 1 or sum(weight for _, _, weight in group) <= cap
        taken += group
    assert (queue.weight, queue.owners) == (0, 0)
    assert sorted(taken, key=lambda item: item[1]) == [(owner, n, weight) for n, (owner, weight) in enumerate(puts)]
    for owner in "abcd":
        numbers = [n for each, n, _ in taken if each == owner]
        assert numbers == sorted(numbers)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 30), st.integers(1, 30))
def test_two_that_have_much_waiting_get_what_their_shares_say(share: int, other: int, heavy: int, light: int) -> None:
    queue = waiting()
    for n in range(3000):
        queue.put("a", share, ("a", n, heavy))
        queue.put("b", other, ("b", n, light))
    got = Counter[str]()
    for _ in range(20):
        for owner, _, weight in queue.take(100):
            got[owner] += weight
    slack = 2 * QUANTUM * max(share, other) + heavy + light
    assert abs(got["a"] * other - got["b"] * share) <= slack * max(share, other)


def test_a_newcomer_is_in_the_next_take_however_long_another_was_alone() -> None:
    queue = waiting()
    for n in range(20_000):
        queue.put("flood", 1, ("flood", n, 1))
    for _ in range(10):
        queue.take(512)
    queue.put("small", 1, ("small", 0, 1))
    assert ("small", 0, 1) in queue.take(512)


def test_beyond_the_limit_there_is_a_reserve_for_those_that_have_little() -> None:
    assert room(own=0, total=0, limit=100, owners=1) == 100
    assert room(own=100, total=100, limit=100, owners=1) == 0
    assert room(own=100, total=100, limit=100, owners=2) == 0
    assert room(own=1, total=100, limit=100, owners=2) == 100 * RESERVE
    assert room(own=1, total=100 * (1 + RESERVE), limit=100, owners=2) == 0


def test_places_at_a_vendor_are_left_to_others() -> None:
    fair, plain = Places(), Places(fair=False)
    with ExitStack() as calls:
        for places in (fair, plain):
            for _ in range(8):
                calls.enter_context(places.taken("vendor", "flood", NORMAL))
        _check_what_is_left(fair, plain)
    assert fair.room("vendor", "flood", NORMAL, 8) == 8


def _check_what_is_left(fair: Places, plain: Places) -> None:
    assert (
        fair.room("vendor", "flood", NORMAL, 8),
        fair.room("vendor", "small", NORMAL, 8),
        fair.room("other", "flood", NORMAL, 8),
    ) == (
        0,
        2,
        8,
    )
    assert plain.room("vendor", "small", NORMAL, 8) == 0
    with fair.taken("vendor", "small", NORMAL):
        assert fair.room("vendor", "small", NORMAL, 8) == 1
    assert fair.room("vendor", "small", NORMAL, 8) == 2


async def test_who_waits_for_a_place_is_called_owner_by_owner() -> None:
    places, called = Places(), list[str]()
    with ExitStack() as calls:
        for _ in range(4):
            calls.enter_context(places.taken("vendor", "other", NORMAL))
        for owner, n in (("flood", 1), ("flood", 2), ("flood", 3), ("small", 1)):
            places.wait("vendor", owner, NORMAL, 4, partial(called.append, f"{owner} {n}"))
        gone = partial(called.append, "gone")
        places.wait("vendor", "flood", NORMAL, 4, gone)
        places.leave("vendor", gone)
        async with asyncio.timeout(10):
            while len(called) < 4:
                await asyncio.sleep(0.01)
    assert sorted(called[:2]) == ["flood 1", "small 1"]  # each tick one of each, out of the reserve
    assert called[2:] == ["flood 2", "flood 3"]


async def test_a_process_that_falls_behind_takes_less_in_hand_and_more_again_when_it_has_time() -> None:
    places = Places()
    keeping = asyncio.create_task(places.keep())
    whole = places.room("vendor", "a", NORMAL, 10_000)
    for _ in range(20):
        time.sleep(0.08)  # noqa: ASYNC251 - something holds the loop up
        await asyncio.sleep(0.001)
    behind = places.room("vendor", "a", NORMAL, 10_000)
    assert behind < whole / 2
    async with asyncio.timeout(60):
        while (now := places.room("vendor", "a", NORMAL, 10_000)) <= behind:
            behind = now  # a busy machine holds the loop up a while longer
            await asyncio.sleep(0.02)
    keeping.cancel()

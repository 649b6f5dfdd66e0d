"""Where new messages are queued when operators have stopped all, and words of operators that reach a process late."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest
from gates import PATIENT, gate_at
from redis.asyncio import Redis

from domain.channels import SMS
from domain.operators import Operator, Switch
from observe.process import beside
from throttle.gate import Gate
from throttle.policy import Pace
from throttle.standing import Standing

PACES = dict.fromkeys(SMS.route, Pace())
FIRST, SECOND = SMS.route


async def _nothing() -> Mapping[str, Operator]:
    return {}


async def _first(gate: Gate, **switches: Switch) -> str:
    await gate.load_operators({name: Operator(switch, "test") for name, switch in switches.items()})
    return Standing(gate, _nothing).first(SMS)


async def test_new_messages_are_queued_where_they_can_wait(redis_url: str) -> None:
    async with gate_at(redis_url, paces=PACES) as gate:
        assert await _first(gate) == FIRST
        assert await _first(gate, **{FIRST: Switch.DISABLED}) == SECOND
        assert await _first(gate, **{SECOND: Switch.DISABLED}) == FIRST
        assert await _first(gate, **{FIRST: Switch.DRAINING}) == SECOND
        assert await _first(gate, **{SECOND: Switch.DRAINING}) == FIRST


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next round comes soon."""
    monkeypatch.setattr("throttle.standing.EVERY", 0.01)


async def _once(gate: Gate, read: Callable[[], Awaitable[Mapping[str, Operator]]]) -> None:
    """One round of its reading, which is over when the next begins."""
    reads, over = 0, asyncio.Event()

    async def once() -> Mapping[str, Operator]:
        nonlocal reads
        reads += 1
        if reads > 1:
            over.set()
            await asyncio.Event().wait()  # it is broken off here
        return await read()

    async with asyncio.timeout(PATIENT), beside(Standing(gate, once).keep()):
        await over.wait()


@pytest.mark.usefixtures("_quick")
async def test_an_old_word_that_is_read_late_undoes_no_new_one(redis_url: str) -> None:
    old, new = Operator(Switch.ENABLED, "paid"), Operator(Switch.DISABLED, "unpaid again")
    async with gate_at(redis_url, paces=PACES) as here, gate_at(redis_url, paces=PACES) as elsewhere:
        await here.load_operators({FIRST: old})

        async def slow() -> Mapping[str, Operator]:
            await elsewhere.set_operator(FIRST, new.switch, new.reason)
            await here.states()
            return {FIRST: old}

        await _once(here, slow)
        assert (await here.states())[FIRST].operator == new


@pytest.mark.usefixtures("_quick")
async def test_the_ledger_is_right_where_redis_says_otherwise(redis_url: str) -> None:
    word = Operator(Switch.DISABLED, "unpaid", 2.0)

    async def ledger() -> Mapping[str, Operator]:
        return {FIRST: word, "no longer set up": word}

    async with gate_at(redis_url, paces=PACES) as here, gate_at(redis_url, paces=PACES) as elsewhere:
        await elsewhere.set_operator(FIRST, Switch.ENABLED, "an old copy")
        await here.states()
        await _once(here, ledger)
        assert (await elsewhere.states())[FIRST].operator == word
        async with Redis.from_url(redis_url) as redis:
            assert not await redis.exists("clarion:gate:{no longer set up}")

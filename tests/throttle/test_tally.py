"""Calls are reported in bulk, and slow ones while they still hang."""

import asyncio

from gates import HIGH, LOW, QUICK, break_it, gate_at, next_probe, until

from domain.outcomes import Answer, Outcome, accepted, in_doubt
from throttle.gate import Gate
from throttle.policy import Pace
from throttle.tally import Tally
from throttle.words import Breaker, Change

REFUSED = Answer(Outcome.RETRYABLE, reason="500")


class Heard:
    """Keeps what a tally tells."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    async def __call__(self, change: Change) -> None:
        self.changes.append(change)


async def tell(gate: Gate, heard: Heard, *answers: Answer, probe: bool = False) -> None:
    tally = Tally(gate, heard)
    for answer in answers:
        tally.end(tally.begin("vendor", probe), [answer])
    await tally.close()


async def test_failures_open_the_breaker_and_one_is_told(redis_url: str) -> None:
    heard = Heard()
    async with gate_at(redis_url) as gate:
        await tell(gate, heard, *[REFUSED] * 10)
    assert [change.after for change in heard.changes] == [Breaker.OPEN]
    assert heard.changes[0].reason == "no call in a row came through, last: 500"


async def test_a_call_that_hangs_counts_before_it_ends_and_only_once(redis_url: str) -> None:
    heard = Heard()
    async with gate_at(redis_url) as gate:
        tally = Tally(gate, heard)
        calls = [tally.begin("vendor"), tally.begin("vendor")]
        await until(lambda: bool(heard.changes))
        assert heard.changes[0].reason.endswith("last: slow")
        await gate.set_operator("vendor", (await gate.states())["vendor"].operator.switch, "anew")
        for call in calls:
            tally.end(call, [in_doubt("time-out")])
        await tally.close()
        assert (await gate.states())["vendor"].breaker is Breaker.CLOSED


async def test_a_failed_call_for_a_thousand_is_one_failure(redis_url: str) -> None:
    heard = Heard()
    async with gate_at(redis_url) as gate:
        tally = Tally(gate, heard)
        tally.end(tally.begin("vendor"), [REFUSED] * 1000)
        tally.end(tally.begin("vendor"), [REFUSED, accepted()])
        await tally.close()
        assert heard.changes == []


async def test_a_throttled_answer_pauses_and_breaks_nothing(redis_url: str) -> None:
    heard = Heard()
    async with gate_at(redis_url) as gate:
        await tell(gate, heard, *[Answer(Outcome.THROTTLED, retry_after=300.0)] * 50)
        assert (await gate.states())["vendor"].paused_for > 200
        assert heard.changes == []


async def test_probes_are_reported_as_such(redis_url: str) -> None:
    heard = Heard()
    async with gate_at(redis_url) as gate:
        await break_it(gate)
        await tell(gate, heard, accepted())
        assert heard.changes == []
        for _ in range(QUICK.heals):
            await next_probe(gate)
            await tell(gate, heard, accepted(), probe=True)
    assert [change.after for change in heard.changes] == [Breaker.HALF_OPEN, Breaker.CLOSED]


async def test_what_was_not_sent_is_given_back(redis_url: str) -> None:
    async with gate_at(redis_url, paces={"vendor": Pace(0.001, 8)}) as gate:
        tally = Tally(gate, Heard())
        assert (await gate.admit("vendor", 8, HIGH)).granted == 8
        tally.release("vendor", 5)
        await tally.close()
        assert (await gate.admit("vendor", 8, HIGH)).granted == 5
        assert (await gate.admit("vendor", 8, LOW)).granted == 0


async def test_a_call_we_broke_off_says_nothing(redis_url: str) -> None:
    heard = Heard()
    async with gate_at(redis_url) as gate:
        tally = Tally(gate, heard)
        for _ in range(5):
            tally.drop(tally.begin("vendor"))
        await asyncio.sleep(QUICK.slow + 0.2)
        await tally.close()
        assert heard.changes == []


async def test_a_ledger_that_cannot_take_a_change_stops_nothing(redis_url: str) -> None:
    async def fail(change: Change) -> None:
        raise RuntimeError("the ledger is away")

    async with gate_at(redis_url) as gate:
        tally = Tally(gate, fail)
        for _ in range(3):
            tally.end(tally.begin("vendor"), [REFUSED])
        await tally.close()
        assert (await gate.states())["vendor"].breaker is Breaker.OPEN

"""Gathers what becomes of vendor calls and reports it to the gate every 50 ms, slow calls while they still hang."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from domain.outcomes import Answer, Outcome
from observe import logs
from throttle.gate import Gate
from throttle.policy import POINTS
from throttle.words import Change

log = logs.get(__name__)

EVERY = 0.05  # seconds


@dataclass(eq=False, slots=True)
class Call:
    """A call in flight."""

    provider: str
    probe: bool
    began: float


@dataclass(slots=True)
class _Gathered:
    """What one report will say."""

    outcomes: Counter[Outcome] = field(default_factory=Counter[Outcome])
    slow: int = 0
    last: str = ""
    pause: float | None = None


class Tally:
    """One per process. `on_change` is awaited with every change of a breaker, of which exactly one process is told."""

    def __init__(self, gate: Gate, on_change: Callable[[Change], Awaitable[None]]) -> None:
        self._gate, self._on_change = gate, on_change
        self._calls: dict[Call, None] = {}  # in the order in which they began; not those already counted as slow
        self._gathered: dict[tuple[str, bool], _Gathered] = {}
        self._reporting: asyncio.Task[None] | None = None
        self._report_at_a_time = asyncio.Lock()
        self._telling: set[asyncio.Task[None]] = set()

    def begin(self, provider: str, probe: bool = False) -> Call:
        """A call goes out now. Every call must come to `end` or `drop`."""
        call = Call(provider, probe, time.monotonic())
        self._calls[call] = None
        self._wake()
        return call

    def end(self, call: Call, answers: Sequence[Answer]) -> None:
        """Its answers, one for each of its messages: the call worked when any was accepted, else the first counts."""
        gathered = self._of(call)
        rest = max(answer.rest for answer in answers)
        if rest:
            gathered.pause = max(rest, gathered.pause or 0.0)
        if call in self._calls:  # else it has been counted as slow
            del self._calls[call]
            answer = next((a for a in answers if a.outcome is Outcome.ACCEPTED), answers[0])
            gathered.outcomes[answer.outcome] += 1
            if answer.outcome in POINTS:
                gathered.last = answer.reason or answer.outcome
        self._wake()

    def drop(self, call: Call) -> None:
        """It was broken off by us: nothing follows from it."""
        self._calls.pop(call, None)

    def release(self, provider: str, messages: int, probe: bool = False) -> None:
        """Messages that were granted and not called: their tokens, or the probe, go back."""
        self._at(provider, probe).outcomes[Outcome.RELEASED] += messages
        self._wake()

    async def report(self) -> None:
        """Tell the gate what is gathered. Afterwards it knows of all that had come to its end before."""
        async with self._report_at_a_time:
            gathered, self._gathered = self._gathered, {}
            await asyncio.gather(*(self._report(provider, probe, g) for (provider, probe), g in gathered.items()))

    def tell(self, change: Change) -> None:
        """Have `on_change` awaited, beside the reports: a slow ledger must not hold them up."""
        task = asyncio.create_task(self._tell(change))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Report what is left. Calls still in flight are forgotten."""
        self._calls.clear()
        if self._reporting is not None:
            await self._reporting
        await asyncio.gather(*self._telling)

    def _of(self, call: Call) -> _Gathered:
        return self._at(call.provider, call.probe)

    def _at(self, provider: str, probe: bool) -> _Gathered:
        return self._gathered.setdefault((provider, probe), _Gathered())

    def _wake(self) -> None:
        if self._reporting is None or self._reporting.done():
            self._reporting = asyncio.create_task(self._report_while_needed())

    async def _report_while_needed(self) -> None:
        while self._calls or self._gathered:
            await asyncio.sleep(EVERY)
            self._count_slow()
            await self.report()

    def _count_slow(self) -> None:
        latest = time.monotonic() - self._gate.policy.slow
        slow = []
        for call in self._calls:
            if call.began > latest:
                break
            slow.append(call)
        for call in slow:
            del self._calls[call]
            gathered = self._of(call)
            gathered.slow += 1
            gathered.last = "slow"

    async def _report(self, provider: str, probe: bool, gathered: _Gathered) -> None:
        if gathered.pause is not None:
            await self._gate.pause(provider, gathered.pause)
        change = await self._gate.report(
            provider, gathered.outcomes, slow=gathered.slow, probe=probe, last=gathered.last
        )
        if change is not None:
            self.tell(change)

    async def _tell(self, change: Change) -> None:
        try:
            await self._on_change(change)
        except Exception:
            log.exception("breaker.change_not_told", provider=change.provider, after=change.after, why=change.reason)

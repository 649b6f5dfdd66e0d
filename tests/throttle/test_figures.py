"""The figures of the policy keep the promises: simulated by the decisions themselves, on a clock of our own."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest

from domain.outcomes import Outcome
from domain.priorities import Priority
from throttle.decisions import decide
from throttle.policy import MICRO, UNLIMITED, BreakerPolicy, Figures
from throttle.state import State
from throttle.steps import Admit, Receipts, Report
from throttle.words import Breaker

POLICY = BreakerPolicy()
FIGURES = Figures.of(POLICY, UNLIMITED)
FAULT, HEALED, END = 12.0, 42.0, 106.0
USUAL, LATENCY = 5.0, 0.2
REPORTED = 0.1  # seconds until what happened is in Redis: 50 ms of gathering, and as much for luck
TRIES = 5

ANSWER = {"refusing": Outcome.VENDOR_DOWN, "answering 500": Outcome.RETRYABLE, "hanging": None, "silent": None}
OVER = {"refusing": 10.0, "answering 500": 10.0, "hanging": 10.0, "silent": USUAL + 10.0}


@dataclass
class Simulation:
    """One vendor under a steady stream of messages of normal priority."""

    kind: str
    rate: float
    state: State = field(default_factory=State)
    sent: list[float] = field(default_factory=list)
    probes: list[float] = field(default_factory=list)
    events: list[tuple[float, int, Report | Receipts]] = field(default_factory=list)
    order: Iterator[int] = field(default_factory=count)

    def run(self) -> "Simulation":
        for n in range(int(END * self.rate)):
            now = n / self.rate
            while self.events and self.events[0][0] <= now:
                at, _, event = heapq.heappop(self.events)
                self.state, _ = decide(self.state, micro(at), FIGURES, event)
            self.state, ruling = decide(
                self.state, micro(now), FIGURES, Admit.of(1, Priority.NORMAL, UNLIMITED, "enabled")
            )
            if ruling.granted:
                self.sent.append(now)
                if ruling.probe:
                    self.probes.append(now)
                self._send(now, bool(ruling.probe))
        return self

    def _send(self, now: float, probe: bool) -> None:
        if FAULT <= now < HEALED:
            self._fail(now, probe)
            return
        self._later(now + LATENCY, Report.of({Outcome.ACCEPTED: 1}, 0, probe, ""))
        self._later(now + LATENCY + 1, Receipts.of(USUAL, [1.0], 0))

    def _fail(self, now: float, probe: bool) -> None:
        if self.kind == "silent":
            self._later(now + LATENCY, Report.of({Outcome.ACCEPTED: 1}, 0, probe, ""))
            self._later(now + LATENCY + USUAL, Receipts.of(USUAL, [], 1))
        elif self.kind == "hanging":
            self._later(now + POLICY.slow, Report.of({}, 1, probe, "slow"))
        else:
            self._later(now + LATENCY, Report.of({ANSWER[self.kind] or Outcome.IN_DOUBT: 1}, 0, probe, "code"))

    def _later(self, at: float, event: Report | Receipts) -> None:
        heapq.heappush(self.events, (at + REPORTED, next(self.order), event))


def micro(seconds: float) -> int:
    return int((seconds + 1_000_000) * MICRO)


@pytest.mark.parametrize("rate", [1.0, 20.0, 500.0])
@pytest.mark.parametrize("kind", list(ANSWER))
def test_a_dead_vendor_loses_its_traffic_and_gets_it_back(kind: str, rate: float) -> None:
    result = Simulation(kind, rate).run()
    dead = [at for at in result.sent if FAULT <= at < HEALED]
    probes = set(result.probes)
    trusting = [at for at in dead if at not in probes]
    if rate == 1 and kind != "silent":
        assert len(trusting) <= TRIES

    # From then on, whatever window of 2 s: under 5 % of the traffic, or, at 1/s, one probe.
    late = [at for at in dead if at >= FAULT + OVER[kind]]
    for first in late:
        inside = [at for at in late if first <= at < first + 2]
        assert len(inside) <= max(1.0, 0.05 * 2 * rate)

    gaps = [later - earlier for earlier, later in zip(result.probes, result.probes[1:], strict=False)]
    assert min(gaps) >= POLICY.probe_every - 1e-6

    assert result.state.breaker is Breaker.CLOSED
    regained = next(at for at in result.sent if at >= HEALED and at not in probes)
    assert regained - HEALED <= 60
    assert len([at for at in result.sent if at >= HEALED + 60]) >= 0.99 * (END - HEALED - 60) * rate


@pytest.mark.parametrize("failing", [0.02, 0.1, 0.2])
def test_a_vendor_that_fails_now_and_then_keeps_its_traffic(failing: float) -> None:
    state, every = State(), round(1 / failing)
    for n in range(20_000):
        outcome = Outcome.RETRYABLE if n % every == 0 else Outcome.ACCEPTED
        state, ruling = decide(state, micro(n / 100), FIGURES, Report.of({outcome: 1}, 0, False, ""))
        assert not ruling.before

"""What can be asked of a provider's gate, and what it says, as plain numbers: the script's arguments and reply."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from enum import IntEnum
from typing import ClassVar

from domain.operators import Operator
from domain.outcomes import Outcome
from domain.priorities import Priority
from throttle.policy import POINTS, RESERVE, Pace, micro


class Rank(IntEnum):
    """Who asks. A check is no message: our own question to the vendor whether it lives."""

    HIGH = 0
    NORMAL = 1
    LOW = 2
    CHECK = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a gate; its fields are the script's arguments after the figures and the name."""

    name: ClassVar[str]

    def arguments(self) -> tuple[str | int, ...]:
        """Name and fields, as the client writes them: it would write an enum's repr."""
        return (self.name, *(int(value) if isinstance(value, int) else str(value) for value in astuple(self)))


@dataclass(frozen=True, slots=True)
class Admit(Step):
    """May `wanted` messages go?"""

    name: ClassVar[str] = "admit"
    wanted: int
    rank: Rank
    reserve: int  # tokens to leave to those above
    switch: str  # the operator's, as this process knows it, for a Redis that forgot

    @classmethod
    def of(cls, wanted: int, priority: Priority, pace: Pace, switch: str) -> "Admit":
        """For a chunk of one priority."""
        reserve = min(int(pace.size * RESERVE[priority]), pace.size - 1)
        return cls(wanted, Rank[priority.name], reserve, switch)


@dataclass(frozen=True, slots=True)
class Report(Step):
    """What came of calls."""

    name: ClassVar[str] = "report"
    good: int
    bad: int
    points: int
    released: int
    probe: int
    last: str

    @classmethod
    def of(cls, outcomes: Mapping[Outcome, int], slow: int, probe: bool, last: str) -> "Report":
        """`slow`: calls, not among the outcomes, that took or have taken too long."""
        failed = {outcome: outcomes.get(outcome, 0) for outcome in POINTS}
        return cls(
            good=outcomes.get(Outcome.ACCEPTED, 0),
            bad=sum(failed.values()) + slow,
            points=sum(POINTS[outcome] * n for outcome, n in failed.items()) + POINTS[Outcome.IN_DOUBT] * slow,
            released=outcomes.get(Outcome.RELEASED, 0),
            probe=int(probe),
            last=last,
        )


@dataclass(frozen=True, slots=True)
class Receipts(Step):
    """What came, or did not come, of messages the vendor accepted."""

    name: ClassVar[str] = "receipts"
    usual: int
    on_time: int
    youngest: int  # age of the youngest message among those on time
    silent: int

    @classmethod
    def of(cls, usual: float, delays: Sequence[float], silent: int) -> "Receipts":
        """A receipt that took longer than usual is none: its message has been counted as silent."""
        on_time = [delay for delay in delays if delay <= usual]
        return cls(micro(usual), len(on_time), micro(min(on_time, default=0.0)), silent)


@dataclass(frozen=True, slots=True)
class Pause(Step):
    """The vendor asked for rest."""

    name: ClassVar[str] = "pause"
    length: int


@dataclass(frozen=True, slots=True)
class Operate(Step):
    """The operator's word. `trust`: also close the breaker and end the pause."""

    name: ClassVar[str] = "operate"
    switch: str
    reason: str
    weight: str
    trust: int

    @classmethod
    def of(cls, operator: Operator, trust: bool) -> "Operate":
        """From its plain form."""
        weight = "" if operator.weight is None else str(operator.weight)
        return cls(operator.switch, operator.reason, weight, int(trust))


@dataclass(frozen=True, slots=True)
class Ruling:
    """What came of a step. Times are microseconds."""

    granted: int = 0
    wait: int = -1  # -1: none
    probe: int = 0
    reason: str = ""
    before: str = ""  # the breaker's state before, when this step changed it
    fresh: int = 0  # this step began a pause

"""What is kept of one provider: the fields of its Redis hash, and the sliding window as a line of text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from domain.operators import Operator, Switch
from throttle.words import Breaker


@dataclass(frozen=True, slots=True)
class State:
    """One provider. Times are microseconds since 1970, 0 for never."""

    breaker: Breaker = Breaker.CLOSED
    cause: str = ""  # what opened it and has to heal: `answers` or `receipts`
    reason: str = ""  # of the last change, for people
    since: int = 0  # of the last change
    opened: int = 0  # when it last left closed
    probe_at: int = 0  # the next probe may go
    healed: int = 0  # probes in a row that came through
    low_at: int = 0  # low priority last asked while it was not closed
    normal_at: int = 0
    paused: int = 0  # until then
    tat: int = 0  # when the bucket will be full again (GCRA's theoretical arrival time)
    run: int = 0  # points of failures without a success in between
    answers: str = ""  # the window of answers
    silent_run: int = 0  # the same for receipts
    receipts: str = ""
    heard: int = 0  # when the last receipt came in its usual time
    switch: str = ""  # of the operator; empty: Redis was never told
    switch_reason: str = ""
    weight: str = ""

    @classmethod
    def read(cls, stored: Mapping[str, str]) -> "State":
        """From a hash, in which any field may be missing. Raises ValueError for what no gate wrote."""
        values: dict[str, Any] = {f.name: type(f.default)(stored[f.name]) for f in fields(cls) if f.name in stored}
        return cls(**values)

    @property
    def operator(self) -> Operator:
        """The operator's word."""
        weight = float(self.weight) if self.weight else None
        return Operator(Switch(self.switch or Switch.ENABLED), self.switch_reason, weight)


@dataclass(frozen=True, slots=True)
class Counted:
    """A window after it was added to."""

    line: str
    total: int
    bad: int


def count(line: str, slot: int, slices: int, good: int, bad: int) -> Counted:
    """Add to the window whose newest slice is `slot` and forget the slices that left it. `line` is `slot:good:bad,…`"""
    kept = {n: (g, b) for n, g, b in _slices(line) if slot - slices < n <= slot}
    have = kept.get(slot, (0, 0))
    kept[slot] = (have[0] + good, have[1] + bad)
    return Counted(
        ",".join(f"{n}:{g}:{b}" for n, (g, b) in kept.items()),
        sum(g + b for g, b in kept.values()),
        sum(b for _, b in kept.values()),
    )


def _slices(line: str) -> Iterable[tuple[int, int, int]]:
    for part in filter(None, line.split(",")):
        slot, good, bad = part.split(":")
        yield int(slot), int(good), int(bad)

"""The table of what opens and closes a breaker and how fast a provider may be called. Times are seconds."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType
from typing import NamedTuple, Self

from domain.outcomes import LONGEST_REST, Outcome
from domain.priorities import Priority

MICRO = 1_000_000  # the unit of time in a gate's state: whole numbers, so that Lua and Python agree to the last one

POINTS: Mapping[Outcome, int] = MappingProxyType(
    {
        Outcome.RETRYABLE: 2,
        Outcome.IN_DOUBT: 3,  # a time-out: by the time the second is noticed, at 1/s five messages have gone
        Outcome.VENDOR_DOWN: 20,  # refused, or not let in: one is enough at low volume, two in a row at any
    }
)
"""What a failed call adds to a run of failures. Others do not count: `rejected` says the vendor lives."""

RESERVE: Mapping[Priority, float] = MappingProxyType({Priority.HIGH: 0.0, Priority.NORMAL: 0.25, Priority.LOW: 0.5})
"""The share of a provider's burst a priority leaves to those above it, so that a backlog never takes the last token."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens and closes. Docs and figures: docs/breaker.md."""

    window: float = 10.0  # answers this young are judged
    slices: int = 10  # the window forgets a slice of itself at a time
    sample: int = 20  # answers in the window below which a ratio says nothing
    ratio: float = 0.5  # share of failures in the window that opens
    run: int = 6  # points in a row, without a success, that open while there is no sample: 3 errors or 2 time-outs
    busy_run: int = 40  # the same with a sample: 20 errors in a row happen by chance to no vendor worth keeping
    probe_every: float = 5.0  # at most one message in this time while open; also the wait before the first
    check_after: float = 75.0  # while open: nobody of low or normal priority asked for so long, so we ask the vendor
    heals: int = 3  # probes in a row that must succeed
    slow: float = 3.0  # a call that takes longer counts as failed, whatever comes of it
    longest_pause: float = LONGEST_REST  # a vendor that wants to rest longer is asked again after this


@dataclass(frozen=True, slots=True)
class Pace:
    """How many messages a second a provider takes, and how many at once (unset: what fits in a second)."""

    rate: float | None = None  # None: as many as come
    burst: int | None = None

    def __post_init__(self) -> None:
        if (self.rate is not None and self.rate <= 0) or (self.burst is not None and self.burst < 1):
            raise ValueError("a pace needs a rate above 0 and a burst of at least 1")

    @property
    def size(self) -> int:
        """Messages the bucket holds."""
        return self.burst or max(1, ceil(self.rate or 1))


UNLIMITED = Pace()


class Figures(NamedTuple):
    """Policy and pace of one provider in whole numbers; the order is that of the script's arguments."""

    slice: int
    slices: int
    sample: int
    percent: int
    run: int
    busy_run: int
    probe_every: int
    check_after: int
    heals: int
    longest_pause: int
    interval: int  # between two tokens; 0: no bucket
    burst: int

    @classmethod
    def of(cls, policy: BreakerPolicy, pace: Pace) -> Self:
        """In microseconds and percent."""
        return cls(
            slice=max(1, micro(policy.window / policy.slices)),
            slices=policy.slices,
            sample=policy.sample,
            percent=round(policy.ratio * 100),
            run=policy.run,
            busy_run=policy.busy_run,
            probe_every=micro(policy.probe_every),
            check_after=micro(policy.check_after),
            heals=policy.heals,
            longest_pause=micro(policy.longest_pause),
            interval=max(1, round(MICRO / pace.rate)) if pace.rate else 0,
            burst=pace.size,
        )


def micro(seconds: float) -> int:
    """Seconds as whole microseconds."""
    return round(seconds * MICRO)

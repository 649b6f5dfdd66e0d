"""Which faults strike whom, and when: drawn from a seed, so that a run can be repeated. Pure."""

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle

APIS = ("api", "api-2")
WORKERS = ("worker-high", "worker-rest", "worker-all")
REPORTING = ("sendgrid", "twilio")
# A whole channel fails when its first two vendors do; email has a third, which stays as the last resort.
VENDORS = ("sendgrid", "twilio", "sendgrid ses", "twilio sns")
TRAFFIC = 5.0  # seconds of load before the first fault
_CLOSEST, _WIDEST = 7.0, 18.0  # seconds between the beginnings of two faults of one lane


class Lane(StrEnum):
    """Faults of one lane strike one after the other; the lanes run beside each other."""

    PROCESSES = "processes"
    VENDORS = "vendors"


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of fault: whom it may strike, and how many seconds it lasts (0: it is over at once)."""

    name: str
    lane: Lane
    targets: tuple[str, ...]
    lasts: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `at`: seconds from the start of the load."""

    kind: str
    lane: Lane
    target: str
    at: float
    lasts: float


def _processes() -> Iterator[Kind]:
    # A worker is thought dead after 10 s of silence: some come back as zombies.
    for name, targets, stall in (
        ("api", APIS, (2.0, 6.0)),
        ("worker", WORKERS, (3.0, 14.0)),
        ("temporal", ("temporal",), (2.0, 6.0)),
        ("postgres", ("postgres",), (2.0, 6.0)),
        ("valkey", ("valkey",), (2.0, 6.0)),
    ):
        yield Kind(f"kill-{name}", Lane.PROCESSES, targets)
        yield Kind(f"stall-{name}", Lane.PROCESSES, targets, stall)
    yield Kind("temporal-database-lost", Lane.PROCESSES, ("temporal",))
    yield Kind("runs-terminated", Lane.PROCESSES, ("temporal",))


def _vendors() -> Iterator[Kind]:
    for name in ("hang-before", "hang-after", "slow", "errors", "throttled", "reset"):
        yield Kind(f"vendor-{name}", Lane.VENDORS, VENDORS, (3.0, 7.0))
    for name in ("repeated", "reordered", "delayed", "early", "forged"):
        yield Kind(f"receipts-{name}", Lane.VENDORS, REPORTING, (3.0, 7.0))
    yield Kind("vendor-clock-jump", Lane.VENDORS, REPORTING, (3.0, 7.0))


KINDS = (*_processes(), *_vendors())


def plan(seconds: float, seed: int, only: Collection[str] = (), every: float | None = None) -> list[Fault]:
    """The faults of a load of so many seconds, in order of their beginning; of these kinds only, if any are named.

    Every kind comes once before any comes again; in a short run some do not come at all. `every`: seconds between the
    beginnings of two faults of a lane, about; unset, such that every kind has its time.
    """
    faults = [fault for lane in Lane for fault in _of_lane(lane, seconds, seed, only, every)]
    return sorted(faults, key=lambda fault: fault.at)


def _of_lane(lane: Lane, seconds: float, seed: int, only: Collection[str], every: float | None) -> Iterator[Fault]:
    kinds = [kind for kind in KINDS if kind.lane is lane and (not only or kind.name in only)]
    if not kinds:
        return
    chance = random.Random(f"{seed} {lane}")
    pause = every or min(_WIDEST, max(_CLOSEST, seconds / (len(kinds) + 1)))
    at = TRAFFIC + chance.uniform(0, 2)
    for kind, target in _drawn(kinds, chance):
        lasts = round(chance.uniform(*kind.lasts), 1)
        if at + lasts > seconds - 1:
            return
        yield Fault(kind.name, lane, target, round(at, 1), lasts)
        at += max(lasts + 2, pause * chance.uniform(0.8, 1.2))


def _drawn(kinds: Sequence[Kind], chance: random.Random) -> Iterator[tuple[Kind, str]]:
    """Without end: all kinds in a shuffled order, then again in another; each kind goes through its targets in turn."""
    targets = {kind.name: cycle(chance.sample(kind.targets, len(kind.targets))) for kind in kinds}
    while True:
        for kind in chance.sample(kinds, len(kinds)):
            yield kind, next(targets[kind.name])

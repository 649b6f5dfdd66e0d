"""What a notification and a run cost each part of Clarion: as committed here, or as `make bench` last found it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench import report
from bench.finding import Finding

STAGES: Mapping[str, tuple[str, ...]] = {
    "API": ("api",),
    "workers": ("worker",),
    "PostgreSQL": ("postgres",),
    "Temporal": ("temporal",),
    "Valkey": ("valkey",),
}
"""Stages by the beginnings of their processes' names. What plays the vendors and the callers is no part of Clarion."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Microseconds of one core: `each` for a notification, `run` for a run, which many notifications share."""

    each: float
    run: float

    def cores(self, rate: float, runs: float) -> float:
        """For so many notifications and runs a second."""
        return (self.each * rate + self.run * runs) / 1e6


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one recipient and one channel. `flushes`: runs a second that one API process starts under load.

    `statements`, `commits`, `wal`, `disk` (bytes): of PostgreSQL for a notification. `transitions`: of Temporal's
    state for a run. `source`: where all this is from.
    """

    source: str
    stages: Mapping[str, Stage]
    flushes: float
    statements: float
    round_trips: float
    wal: float
    disk: float
    transitions: float


def shares(cpu: Mapping[str, float]) -> dict[str, float]:
    """What each stage has of what the processes have together, in the same unit."""
    return {stage: sum(used for name, used in cpu.items() if name.startswith(names)) for stage, names in STAGES.items()}


# Of a burst over 1,024 connections on two cores shared with others: 1,198/s, 158 in a run. What part of it is the
# run's, and what is counted, is from `--check`: docs/scaling.md has both.
COMMITTED = Costs(
    source="committed in bench/scaling/costs.py, from two cores shared with others",
    stages={
        "API": Stage(231, 7_000),
        "workers": Stage(262, 18_900),
        "PostgreSQL": Stage(164, 8_100),
        "Temporal": Stage(35, 21_300),
        "Valkey": Stage(19, 980),
    },
    flushes=7.6,
    statements=0.15,
    round_trips=0.19,
    wal=3_540,
    disk=2_130,
    transitions=10,
)


def known() -> Costs:
    """What `make bench` kept of `burst` and `cost` with this version of the code, else what is committed."""
    found = {finding.case: finding for finding in report.Kept().findings}
    if "burst" in found and "cost" in found:
        return measured(found["burst"], found["cost"])
    return COMMITTED


def measured(burst: Finding, cost: Finding) -> Costs:
    """Of these two cases. They do not tell what a run costs by itself: that keeps its committed part of the whole."""
    said, bill = _figures([burst]), _figures([cost])
    part = shares(burst.series["cpu"])
    whole = said["CPU of all processes"] / sum(burst.series["cpu"].values())
    size = bill["notifications in a run"]
    return Costs(
        source="`burst` and `cost` of make bench, of this version",
        stages={name: _split(name, part[name] * whole, size) for name in STAGES},
        flushes=said["accepted"] / size,
        statements=bill["SQL statements"],
        round_trips=bill["with BEGIN and COMMIT"],
        wal=bill["disk, its log"],
        disk=bill["disk, PostgreSQL"],
        transitions=bill["state transitions"] * size,
    )


def _split(name: str, total: float, size: float) -> Stage:
    run = min(COMMITTED.stages[name].run, total * size)
    return Stage(total - run / size, run)


def _figures(findings: Iterable[Finding]) -> dict[str, float]:
    return {figure.name: figure.value for finding in findings for figure in finding.figures}

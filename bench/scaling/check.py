"""Holds the model against this machine: what two rounds of one API cost says what two APIs and four workers will."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.cases.cost import Bill, billed
from bench.scaling.costs import Costs, Stage, shares
from bench.scaling.crowd import crowd

SECONDS = 20.0  # of load, each round
CLIENTS = 1_024
SMALL = {"CLARION_MAX_BATCH": "48"}  # more runs for as many notifications: tells the two sorts of cost apart
LOAD = ("load", "sandbox")  # what plays callers and vendors shares the machine


@dataclass(frozen=True, slots=True)
class Round:
    """What was seen of one. `rate`: notifications receipted a second, of the whole. `cpu`: cores by stage."""

    rate: float
    runs: float  # a second
    cpu: Mapping[str, float]
    bill: Bill
    broken: list[str]

    @property
    def cores(self) -> float:
        """All it took, with what plays callers and vendors."""
        return sum(self.cpu.values())

    @property
    def size(self) -> float:
        """Notifications in a run."""
        return self.rate / self.runs

    def micros(self, stage: str) -> float:
        """Of one core, for a notification."""
        return self.cpu[stage] / self.rate * 1e6


async def played(log: Path, apis: int = 1, each: int = 1, settings: Mapping[str, str] | None = None) -> Round:
    """A round on a stack of its own. `each`: workers of each set of queues. Raises StackError, Untried."""
    async with crowd(log, apis, each, settings) as on:
        ended, bill = await billed(on, "scaling", CLIENTS, seconds=SECONDS)
        broken = await on.broken()
    seconds = bill.notifications / ended.receipted
    cpu = {**shares(ended.cpu), "load": sum(used for name, used in ended.cpu.items() if name in LOAD)}
    return Round(
        ended.receipted, bill.runs / seconds, {stage: used / seconds for stage, used in cpu.items()}, bill, broken
    )


@dataclass(frozen=True, slots=True)
class Foretold:
    """By the model. `rate`: notifications a second; `size`: of a run; `micros` of one core, for a notification."""

    rate: float
    size: float
    micros: Mapping[str, float]


def costs_of(large: Round, small: Round) -> Costs:
    """From a round as Clarion comes, and one with small batches, both of one API."""
    stages = {stage: _stage(large, small, stage) for stage in large.cpu}
    bill = large.bill
    return Costs(
        source=f"two rounds of {SECONDS:.0f} s on this machine, {time.strftime('%Y-%m-%d')}",
        stages=stages,
        flushes=large.runs,
        statements=bill.each(bill.statements),
        round_trips=bill.each(bill.round_trips),
        wal=bill.each(bill.disk["its log"]),
        disk=bill.each(bill.disk["PostgreSQL"]),
        transitions=bill.transitions / bill.runs,
    )


def _stage(large: Round, small: Round, stage: str) -> Stage:
    """Two equations: what a notification costs is `each`, and its part of a run. Noise must make nothing negative."""
    cheap, dear = large.micros(stage), small.micros(stage)
    run = max(0.0, (dear - cheap) / (1 / small.size - 1 / large.size))
    return Stage(cheap - run / large.size, run) if run < cheap * large.size else Stage(0.0, cheap * large.size)


def predicted(one: Round, costs: Costs, cores: float, apis: int) -> Foretold:
    """What so many APIs do with these cores: the same connections fill each door, and so each run, less."""
    size = one.size / apis
    micros = {name: stage.each + stage.run / size for name, stage in costs.stages.items()}
    return Foretold(cores / sum(micros.values()) * 1e6, size, micros)

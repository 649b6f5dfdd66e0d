"""From costs to cores, processes, connections and walls for a load. Pure arithmetic."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from bench.scaling.costs import Costs

BUSY = 0.7  # of a core or a limit, planned with: the rest is for peaks, and for when one of several is down

# What a process holds at most, of the pools in ledger/scoped.py and workers/worker.py.
API_CONNECTIONS, WORKER_CONNECTIONS = 20, 8
FULLEST = 0.7  # of all runs are in one queue: the lane of high priority waits least (api/lanes.py) and starts most


@dataclass(frozen=True, slots=True)
class Wall:
    """Something there is only one of, or so many: how much a load uses of it, and what then helps."""

    name: str
    used: float
    limit: float
    unit: str
    then: str

    @property
    def share(self) -> float:
        """1: it is used up."""
        return self.used / self.limit


@dataclass(frozen=True, slots=True)
class Plan:
    """What so many notifications a second need. `cores` by stage, as used; `walls` the nearest first."""

    rate: float
    runs: float  # a second
    cores: Mapping[str, float]
    apis: int
    workers: int
    walls: list[Wall]


def plan(costs: Costs, rate: float) -> Plan:
    """As many API processes as keep BUSY; each starts its own runs, so that runs follow processes, not the load."""
    api = costs.stages["API"]
    apis = max(1, ceil(api.each * rate / (BUSY * 1e6 - api.run * costs.flushes)))
    runs = min(rate, costs.flushes * apis)
    cores = {name: stage.cores(rate, runs) for name, stage in costs.stages.items()}
    workers = max(2, ceil(cores["workers"] / BUSY))  # high priority has its own
    walls = _walls(costs, rate, runs, cores, API_CONNECTIONS * apis + WORKER_CONNECTIONS * workers)
    return Plan(rate, runs, cores, apis, workers, sorted(walls, key=lambda wall: -wall.share))


def _walls(costs: Costs, rate: float, runs: float, cores: Mapping[str, float], connections: int) -> list[Wall]:
    """Limits are of the settings in docker-compose.yml and deploy/, or assumed of the machine: docs/scaling.md says."""
    return [
        Wall("Valkey, one thread", cores["Valkey"], 1.0, "core", "installations side by side"),
        Wall("PostgreSQL, cores", cores["PostgreSQL"], 32.0, "cores", "a larger machine, then installations"),
        Wall("PostgreSQL, log", costs.wal * rate / 1e6, 400.0, "MB/s", "a faster disk, then installations"),
        Wall("PostgreSQL, connections", connections, 300.0, "", "a higher max_connections"),
        Wall("Temporal, embedded", cores["Temporal"], 2.0, "cores", "a cluster, as in docker-compose.yml"),
        Wall(
            "Temporal, history shards",
            costs.transitions * runs,
            128 / 0.005,
            "transitions/s",
            "more, before its first start",
        ),
        Wall("Temporal, one partition of a queue", FULLEST * runs, 300.0, "tasks/s", "more partitions"),
    ]

"""Every case of `make bench`, in the order they are played."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.cases import bulk, burst, cost, footprint, idle, naive, priority, rivals, status, sweeps
from bench.finding import Played


@dataclass(frozen=True, slots=True)
class Case:
    """`play` gets the file for what the parts of its stack write. Raises StackError when a stack cannot run."""

    name: str
    says: str
    play: Callable[[Path], Awaitable[Played]]


_ONE_LANE = (("normal", 1.0),)

CASES = (
    Case("burst", "100,000 notifications, 256 connections", partial(burst.play, clients=256)),
    Case("burst-1024", "the same, 1,024 connections", partial(burst.play, clients=1024)),
    Case("burst-one-lane", "the same, one priority", partial(burst.play, clients=256, shares=_ONE_LANE)),
    Case("burst-single-receipts", "one webhook call a message", partial(burst.play, clients=256, channel="sms")),
    Case("naive", "one workflow a notification, in turn with Clarion as it comes", naive.play),
    Case("celery", "the same job on Celery, in turn with Clarion", rivals.celery),
    Case("dbos", "the same job on DBOS Transact, in turn with Clarion", rivals.dbos),
    Case("idle", "2,000 notifications, one at a time", idle.play),
    Case("priority", "low priority at twice the capacity beside high and normal", priority.play),
    Case("bulk", "100 notifications of 1,000 recipients", bulk.play),
    Case("status", "20,000 reads of a status in bursts", status.play),
    Case("cost", "state transitions, statements and bytes of 20,000 notifications", cost.play),
    Case("footprint", "start, idle, and memory over many deliveries", footprint.play),
    Case("batch-cap", "short bursts by how many deliveries a run may share", sweeps.batch_cap),
    Case("offered-load", "latencies by notifications offered a second", sweeps.offered_load),
)

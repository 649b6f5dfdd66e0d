"""One run from its start to its verdict."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bench.chaos.crowd import Crowd, Harvest
from bench.chaos.plan import Fault, plan
from bench.chaos.recovery import recoveries, sends, usual_way
from bench.chaos.report import Run
from bench.chaos.settling import settle
from bench.chaos.site import Site, site
from bench.chaos.striking import Strike, strike_all
from bench.chaos.telling import Telling
from bench.verdict import judge

ROOT = Path(__file__).parents[2]
_AT_MOST = 3  # times its length that a load waits for faults that are late


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be run. `settle`: seconds that everything may take to its end after the load. Others as in `plan`."""

    seconds: float
    seed: int
    rate: float
    settle: float
    only: Collection[str] = ()
    every: float | None = None


async def run(wanted: Wanted, folder: Path, tell: Telling) -> Run:
    """Start, load, strike, heal, wait, judge, stop. Raises StackError when a part cannot be kept running."""
    tell("starting PostgreSQL, Valkey, Temporal, the vendors, two APIs and three workers")
    async with site(folder) as here:
        faults = plan(wanted.seconds, wanted.seed, wanted.only, wanted.every)
        tell(f"{wanted.seconds:g} s at {wanted.rate:g} requests a second, {len(faults)} faults, seed {wanted.seed}")
        accepted = folder / "accepted"
        harvest, strikes = await _under_load(here, wanted, faults, accepted, tell)
        tell(f"the load has ended: {len(harvest.accepted)} accepted; all is healed")
        left = await settle(here, wanted.settle, tell)
        tell("checking the ledger")
        verdict = await judge(here.db, accepted, here.vendor_log, frozenset(harvest.cancelled), left)
        sent = sends(here.vendor_log)
        tell("stopping everything")
    return Run(
        seed=wanted.seed,
        seconds=wanted.seconds,
        rate=wanted.rate,
        strikes=strikes,
        harvest=harvest,
        verdict=verdict,
        recoveries=recoveries(strikes, harvest.accepted, sent),
        way=usual_way(harvest.accepted, sent),
        code=str(ROOT),
    )


async def _under_load(
    here: Site, wanted: Wanted, faults: list[Fault], accepted: Path, tell: Telling
) -> tuple[Harvest, list[Strike]]:
    """The load with its faults. Raises StackError for a part that cannot be kept running."""
    stop = asyncio.Event()
    crowd = Crowd(here.apis, wanted.seed, wanted.rate, accepted)
    watching = asyncio.create_task(here.stack.failure())
    watching.add_done_callback(lambda _: stop.set())
    try:
        async with asyncio.TaskGroup() as group:
            load = group.create_task(crowd.call(stop))
            striking = group.create_task(strike_all(here, faults, wanted.seed, stop, tell))
            group.create_task(_end(stop, wanted.seconds, striking, crowd, tell))
    except ExceptionGroup as group:
        raise _first(group) from None
    finally:
        if watching.done() and not watching.cancelled():
            watching.result()
        watching.cancel()
    return load.result(), striking.result()


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def _end(
    stop: asyncio.Event, seconds: float, striking: asyncio.Task[list[Strike]], crowd: Crowd, tell: Telling
) -> None:
    """Ends the load after its time, and not before its faults: on a busy machine they come late."""
    began = time.monotonic()

    def over() -> bool:
        spent = time.monotonic() - began
        return spent > seconds and (striking.done() or spent > _AT_MOST * seconds)

    while not stop.is_set() and not over():
        await asyncio.sleep(0.25)
        harvest = crowd.harvest
        tell.now(
            f"{time.monotonic() - began:5.0f} of {seconds:g} s: {len(harvest.accepted)} accepted,"
            f" {harvest.refused.total()} refused, {harvest.broken} broken"
        )
    stop.set()

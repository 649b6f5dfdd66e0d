"""`celery`, `dbos`: the job of `burst` done by others, each with its best settings, in turn with Clarion."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import peers
from bench.cases.rounds import CLIENTS, round_of
from bench.driver import Load, offered
from bench.finding import Figure, Played
from bench.numbers import NAN, mean
from bench.peers import Peer

ROUNDS = 2
SECONDS = 20.0  # of load, each round
TRIAL = 8.0  # seconds of load for a setting of the short list
WARM = 200  # notifications
GOAL = 4  # times
_PATIENCE = 120.0  # seconds after the load until the peer has to be through
_LOOK_EVERY = 0.2

# What came out first of the whole sweeps on two cores (bench/peers/README.md). They are tried anew here, and the best
# counts.
CELERY = ("threads-4", "threads-8", "prefork-4-publishers-4")
DBOS = ("threads-64", "async-256", "async-256-one-queue-workers-2")

Opening = Callable[[Path], AbstractAsyncContextManager[Peer]]


@dataclass(frozen=True, slots=True)
class _Through:
    """Notifications a second from the first POST to the last receipt, and what went wrong."""

    rate: float
    doubled: int
    broken: Sequence[str]


async def celery(log: Path) -> Played:
    """Against Celery with Valkey and PostgreSQL."""
    return await _beside(
        log, "Celery", {name: partial(peers.celery, settings=peers.CELERY_SWEEP[name]) for name in CELERY}
    )


async def dbos(log: Path) -> Played:
    """Against DBOS Transact."""
    return await _beside(log, "DBOS", {name: partial(peers.dbos, settings=peers.DBOS_SWEEP[name]) for name in DBOS})


async def _beside(log: Path, name: str, settings: Mapping[str, Opening]) -> Played:
    """The short list, and then Clarion, the best, Clarion, the best."""
    trials = {setting: await _through(opening(log), TRIAL) for setting, opening in settings.items()}
    best = max(trials, key=lambda setting: trials[setting].rate)
    ours: list[float] = []
    theirs: list[_Through] = []
    broken: list[str] = []
    for _ in range(ROUNDS):
        ended, wrong = await round_of(log, seconds=SECONDS)
        ours.append(ended.receipted)
        theirs.append(await _through(settings[best](log), SECONDS))
        broken += wrong
    rates = [one.rate for one in theirs]
    broken += [f"{name}, {reason}" for one in (*trials.values(), *theirs) for reason in one.broken]
    return Played(
        [
            *(Figure(f"{name} receipted, {setting}", one.rate, "/s") for setting, one in trials.items()),
            Figure(f"{name} receipted, {best}, in turn", mean(rates), "/s"),
            Figure(f"{name} doubled", sum(one.doubled for one in theirs)),
            Figure("Clarion receipted, in turn", mean(ours), "/s"),
            Figure(f"Clarion against {name}", mean(ours) / mean(rates), "times", at_least=GOAL),
        ],
        broken,
        {"rounds": {"Clarion": ours, name: rates}},
    )


async def _through(opened: AbstractAsyncContextManager[Peer], seconds: float) -> _Through:
    """The load of Clarion's rounds, and the wait until all of it is receipted."""
    async with opened as peer:
        with TemporaryDirectory() as folder:
            promised = Path(folder, "promised")
            load = Load(peer.api, peer.key, "warm", 16, promised=str(promised), count=WARM)
            await offered(load)
            await _finished(peer)
            result = await offered(Load(peer.api, peer.key, "round", CLIENTS, promised=str(promised), seconds=seconds))
            through = await _finished(peer)
            rate = result.accepted / (time.time() - result.began) if through else NAN
            lost, doubled = await peer.check(promised)
    broken = [] if through else [f"not through {_PATIENCE:g} s after the load"]
    return _Through(rate, doubled, [*broken, f"lost: {lost}"] if lost else broken)


async def _finished(peer: Peer) -> bool:
    """Whether it comes through in time."""
    end = time.monotonic() + _PATIENCE
    while not (await peer.progress()).finished:
        if time.monotonic() > end:
            return False
        await asyncio.sleep(_LOOK_EVERY)
    return True

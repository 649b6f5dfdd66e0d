"""One setting of a peer under load for a while, until everything is receipted, and what came of it."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.load import Target, body_of, run
from bench.peers.peer import Peer
from bench.processes import between

_LOOK_EVERY = 0.2  # seconds
_PATIENCE = 120.0  # seconds without any progress before it counts as stuck


@dataclass(frozen=True, slots=True)
class Swept:
    """Figures of one setting. `through` is what counts: notifications a second from the first POST to the last receipt.

    `accepted` and `sent` a second are over the time in which that was done. `cpu`: milliseconds of CPU for each
    notification, by process: what a noisy machine changes least.
    """

    peer: str
    setting: str
    notifications: int
    through: float
    accepted: float
    sent: float
    accept_p50: float  # milliseconds
    accept_p99: float
    lost: int
    doubled: int
    cpu: dict[str, float]

    def line(self) -> dict[str, object]:
        """As one JSON line."""
        return asdict(self)


async def swept(
    name: str, setting: str, opening: Callable[[], AbstractAsyncContextManager[Peer]], *, seconds: float, clients: int
) -> Swept:
    """Start it, load it as `burst` does for so long, wait until it is done, hold it against its vendor's log."""
    async with opening() as peer:
        with TemporaryDirectory() as folder:
            accepted = Path(folder, "accepted")
            chance = random.Random(1)
            before, began = peer.cpu(), time.perf_counter()
            load = asyncio.create_task(
                run(
                    Target(peer.api, peer.key),
                    clients=clients,
                    make_body=lambda n: body_of(n, setting, chance),
                    seconds=seconds,
                    accepted_ids=accepted,
                )
            )
            sent_after, done_after = await _watched(peer, load, began)
            result, after = await load, peer.cpu()
            lost, doubled = await peer.check(accepted)
    count = result.accepted
    return Swept(
        peer=name,
        setting=setting,
        notifications=count,
        through=round(count / done_after, 1),
        accepted=round(count / result.seconds, 1),
        sent=round(count / sent_after, 1),
        accept_p50=round(result.percentile(0.5) * 1000, 1),
        accept_p99=round(result.percentile(0.99) * 1000, 1),
        lost=lost,
        doubled=doubled,
        cpu={part: round(spent / max(count, 1) * 1000, 3) for part, spent in between(before, after).items()},
    )


async def _watched(peer: Peer, load: "asyncio.Task[object]", began: float) -> tuple[float, float]:
    """Seconds until all was sent, and until all was receipted, or until nothing has moved for too long."""
    sent_after, last, moved = None, None, time.perf_counter()
    while time.perf_counter() - moved < _PATIENCE:
        progress = await peer.progress()
        now = time.perf_counter()
        if progress != last:
            last, moved = progress, now
        if load.done():
            if sent_after is None and progress.sent == progress.accepted:
                sent_after = now - began
            if progress.finished:
                return sent_after or now - began, now - began
        await asyncio.sleep(_LOOK_EVERY)
    return sent_after or moved - began, float("inf")

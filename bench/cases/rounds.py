"""A short burst on a stack of its own, to be played in turn with another system."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.cases.burst import Burst, burst
from bench.ground import ground

CLIENTS = 256


async def round_of(
    log: Path, settings: Mapping[str, str] | None = None, *, warm: int = 500, **load: Any
) -> tuple[Burst, list[str]]:
    """What came of it, and what was broken. `load`: `count` or `seconds`, as in Load; `warm`: notifications before."""
    async with ground(log, settings, warm=warm) as on:
        ended = await burst(on, "round", CLIENTS, **load)
        return ended, await on.broken()

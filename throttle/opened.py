"""Opens the gates for a process: Redis, the gates in it, and how the providers stand, kept fresh."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from domain.channels import Channel
from domain.messages import Card
from domain.operators import Operator
from observe.process import beside
from settings import Settings
from throttle.gate import Gate
from throttle.paces import paces
from throttle.redis import connect
from throttle.standing import Standing
from throttle.watch import Watch


@dataclass(frozen=True, slots=True)
class Gates:
    """What a process asks before it sends or routes."""

    gate: Gate
    standing: Standing
    watch: Watch


@asynccontextmanager
async def open_gates(
    settings: Settings,
    cards: Iterable[Card],
    operators: Callable[[], Awaitable[Mapping[str, Operator]]],
    channels: Iterable[Channel] = (),
) -> AsyncGenerator[Gates]:
    """Open inside the block. `operators` reads the operators' words from the ledger. Raises SettingsError.

    `channels`: whose working providers the metrics count.
    """
    redis = connect(settings.required("redis_url"))
    watch = Watch(redis)
    try:
        gate = Gate(redis, paces(cards, settings.providers))
        standing = Standing(gate, operators, channels)
        async with beside(standing.keep()):
            yield Gates(gate, standing, watch)
    finally:
        await watch.close()
        await redis.aclose()

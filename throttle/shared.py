"""Gates in Redis: one script, one round trip for a step, the same for all workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from throttle.policy import MICRO, Figures
from throttle.state import State
from throttle.steps import Ruling, Step

_SCRIPT = Path(__file__).with_name("breaker.lua").read_text()


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that was taken: when (microseconds), the state after it, and what it says."""

    now: int
    state: State
    ruling: Ruling


def key(provider: str) -> str:
    """The provider's hash. The braces keep it in one slot of a cluster."""
    return f"clarion:gate:{{{provider}}}"


class Shared:
    """Every method raises what the client raises: RedisError, OSError, TimeoutError."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script = redis.register_script(_SCRIPT)

    async def take(self, provider: str, figures: Figures, step: Step) -> Taken:
        """Take a step with the server's clock."""
        reply: list[Any] = await self._script(keys=[key(provider)], args=[*figures, *step.arguments()])
        granted, wait, probe, reason, before, fresh, now, *pairs = reply
        state = State.read(dict(zip(pairs[::2], pairs[1::2], strict=True)))
        return Taken(now, state, Ruling(granted, wait, probe, reason, before, fresh))

    async def read(self, providers: Sequence[str]) -> tuple[int, Mapping[str, State]]:
        """The server's clock and every provider's state."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.time()
            for provider in providers:
                pipeline.hgetall(key(provider))
            (seconds, micros), *hashes = await pipeline.execute()
        states = {provider: State.read(found) for provider, found in zip(providers, hashes, strict=True)}
        return int(seconds) * MICRO + int(micros), states

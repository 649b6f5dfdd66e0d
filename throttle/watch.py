"""Remembers in Redis a sample of sends until their receipts come, so that a vendor that never delivers is noticed."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from domain.ids import DeliveryId
from throttle.gate import LIMIT
from throttle.lifeline import Lifeline
from throttle.policy import MICRO, micro
from throttle.rhythm import Rhythm

_SCRIPT = Path(__file__).with_name("watch.lua").read_text()

EVERY = 0.05  # seconds between two flushes of new sends
AT_ONCE = 10  # new sends of a provider in one flush: more would only be turned away
LAG = 0.25  # seconds reports gather here; most news of sends is there before them
_BOUND = 10_000  # reports waiting; what is dropped, the ledger still knows


@dataclass(frozen=True, slots=True)
class Judged:
    """How a provider's sample stands. Times are seconds."""

    usual: float  # in which nearly all of its receipts come
    ages: Sequence[float]  # of the sends that were reported since the last judgement
    silent: Sequence[DeliveryId]  # past the usual time without a report that we have heard of


class Watch:
    """One per process. Nothing here raises for Redis, and nobody waits for it: without Redis nothing is watched."""

    def __init__(self, redis: Redis, limit: float = LIMIT) -> None:
        """`limit`: seconds a question to Redis may take in all."""
        self._script, self._limit, self._lifeline = redis.register_script(_SCRIPT), limit, Lifeline()
        self._sent: defaultdict[str, dict[DeliveryId, bool]] = defaultdict(dict)
        self._reported: deque[tuple[float, str, DeliveryId]] = deque(maxlen=_BOUND)
        self._sending = Rhythm(EVERY, self._flush_sent)
        self._reporting = Rhythm(LAG, self._flush_reported)

    def sent(self, provider: str, deliveries: Iterable[DeliveryId], *, probe: bool = False) -> None:
        """The vendor took these and will report them. At a high rate only some are kept; a probe always is."""
        waiting = self._sent[provider]
        for delivery in deliveries:
            if probe or len(waiting) < AT_ONCE:
                waiting[delivery] = probe
        self._sending.wake()

    def reported(self, reports: Iterable[tuple[str, DeliveryId]]) -> None:
        """Receipts came, as (provider, delivery): the vendor reports, whatever it says."""
        now = time.monotonic()
        self._reported.extend((now, provider, delivery) for provider, delivery in reports)
        self._reporting.wake()

    async def beat(self) -> None:
        """This process takes receipts. Every second; who was sent before a gap of 3 s is not judged."""
        await self._take("beat")

    async def judge(self, provider: str, hush: float, window: float) -> Judged | None:
        """Take out what is silent now. None: Redis is gone. `usual` is between `hush` and `window`, in seconds."""
        reply = await self._take("judge", provider, micro(hush), micro(window))
        if reply is None:
            return None
        usual, ages, silent = reply
        return Judged(usual / MICRO, [age / MICRO for age in ages], [DeliveryId.parse(each) for each in silent])

    async def close(self) -> None:
        """Say what is left."""
        await self._sending.close()
        await self._reporting.close()

    async def _flush_sent(self) -> bool:
        sent, self._sent = self._sent, defaultdict(dict)
        for provider, deliveries in sent.items():
            pairs = [(str(delivery), int(probe)) for delivery, probe in deliveries.items()]
            await self._take("sent", provider, *(value for pair in pairs for value in pair))
        return bool(self._sent)

    async def _flush_reported(self) -> bool:
        now = time.monotonic()
        ripe: defaultdict[str, list[str | int]] = defaultdict(list)
        while self._reported and self._reported[0][0] <= now - LAG:
            at, provider, delivery = self._reported.popleft()
            ripe[provider] += [str(delivery), micro(now - at)]
        for provider, pairs in ripe.items():
            await self._take("reported", provider, *pairs)
        return bool(self._reported)

    async def _take(self, step: str, provider: str = "", *fields: str | int) -> Any:
        """What the script answers; None when Redis is gone."""
        if not self._lifeline.try_now():
            return None
        places = (
            [f"{kind}:{provider}" for kind in ("waiting", "silent", "delays", "reported", "early")] if provider else []
        )
        keys = [f"clarion:{{watch}}:{place}" for place in ("door", *places)]
        try:
            async with asyncio.timeout(self._limit):
                reply = await self._script(keys=keys, args=[step, *fields])
        except (RedisError, OSError) as error:
            self._lifeline.failed(error)
            return None
        self._lifeline.answered()
        return reply

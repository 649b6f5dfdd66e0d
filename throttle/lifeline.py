"""Whether Redis may be asked now: after a failure one question a second finds out, and nobody else waits for it."""

import time

from observe import logs, metrics

log = logs.get(__name__)

RETRY_EVERY = 1.0  # seconds


class Lifeline:
    """One per client."""

    def __init__(self) -> None:
        self._lost = False
        self._ask_at = float("-inf")

    def try_now(self) -> bool:
        """True when Redis is well, or when it is time for one to look whether it is again."""
        if not self._lost:
            return True
        if time.monotonic() < self._ask_at:
            return False
        self._ask_at = time.monotonic() + RETRY_EVERY
        return True

    def failed(self, error: Exception) -> None:
        """It did not answer."""
        metrics.REDIS_FALLBACKS.inc()
        self._ask_at = time.monotonic() + RETRY_EVERY
        if not self._lost:
            self._lost = True
            log.warning("redis.lost", error=type(error).__name__, now="limits and breakers are this process's own")

    def answered(self) -> None:
        """It did."""
        if self._lost:
            self._lost = False
            log.info("redis.back")

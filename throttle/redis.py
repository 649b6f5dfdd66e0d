"""A Redis client that never holds a delivery up: short time-outs, a bounded pool that waits, nothing repeated."""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

TIMEOUT = 0.8  # seconds for each of: a free connection, connecting, an answer
CONNECTIONS = 16  # per process; a script takes well under a millisecond, so few serve many


def connect(url: str, timeout: float = TIMEOUT) -> Redis:
    """A client for `redis://…`, strings in and out. It connects when first used; close it with `aclose`.

    Raises ValueError for a wrong URL. What it cannot do in time raises `redis.RedisError`, `OSError` or `TimeoutError`.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
    return Redis.from_pool(pool)

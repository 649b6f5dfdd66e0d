"""What can be tuned about each peer, and the settings its sweep tries."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Self

import orjson

VARIABLE = "PEER_SETTINGS"
"""The environment variable that carries the settings to a peer's processes."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """`apis`: processes that accept. `workers`: processes that send (of Celery's prefork: their masters)."""

    apis: int = 1
    workers: int = 1

    def environment(self) -> dict[str, str]:
        """As a process of the peer gets them."""
        return {VARIABLE: orjson.dumps(asdict(self)).decode()}

    @classmethod
    def given(cls) -> Self:
        """Those of this process."""
        return cls(**orjson.loads(os.environ[VARIABLE]))


@dataclass(frozen=True, slots=True)
class CelerySettings(_Choice):
    """`concurrency`: children or threads of each worker. `prefetch`: messages each of them has fetched ahead.

    `publishers`: threads of each API that publish, each with a connection of its own to the broker; 0: its event loop
    does, which spends the least CPU and waits for Redis.
    """

    pool: Literal["prefork", "threads"] = "prefork"
    concurrency: int = 4
    prefetch: int = 4
    publishers: int = 0


@dataclass(frozen=True, slots=True)
class DbosSettings(_Choice):
    """`concurrency`: workflows each worker runs of one queue. `polling`: seconds between two looks at a queue.

    `kind`: workflows as coroutines or in threads. `steps`: 2 as the documentation has it, the call and the record each
    with a checkpoint; 0: no checkpoint in between, so that a crash repeats all of it, as Celery does.
    `queues`: 3, one for each priority, or 1 with DBOS's own priorities. `accepters`: threads of each API that commit.
    """

    kind: Literal["async", "threads"] = "async"
    steps: Literal[0, 2] = 0
    queues: Literal[1, 3] = 3
    concurrency: int = 64
    polling: float = 0.1
    accepters: int = 16


CELERY_SWEEP: Mapping[str, CelerySettings] = {
    "prefork-2": CelerySettings(concurrency=2),
    "prefork-4": CelerySettings(concurrency=4),
    "prefork-8": CelerySettings(concurrency=8),
    "prefork-4-prefetch-1": CelerySettings(concurrency=4, prefetch=1),
    "prefork-4-prefetch-32": CelerySettings(concurrency=4, prefetch=32),
    "prefork-4-publishers-4": CelerySettings(concurrency=4, publishers=4),
    "prefork-4-publishers-16": CelerySettings(concurrency=4, publishers=16),
    "prefork-4-apis-2": CelerySettings(concurrency=4, apis=2),
    "threads-2": CelerySettings(pool="threads", concurrency=2),
    "threads-4": CelerySettings(pool="threads", concurrency=4),
    "threads-8": CelerySettings(pool="threads", concurrency=8),
    "threads-16": CelerySettings(pool="threads", concurrency=16),
    "threads-32": CelerySettings(pool="threads", concurrency=32),
    "threads-64": CelerySettings(pool="threads", concurrency=64, prefetch=2),
    "threads-4-prefetch-32": CelerySettings(pool="threads", concurrency=4, prefetch=32),
    "threads-4-publishers-4": CelerySettings(pool="threads", concurrency=4, publishers=4),
    "threads-4-workers-2": CelerySettings(pool="threads", concurrency=4, workers=2),
    "threads-16-workers-2": CelerySettings(pool="threads", concurrency=16, workers=2),
}

DBOS_SWEEP: Mapping[str, DbosSettings] = {
    "documented": DbosSettings(steps=2, polling=1.0),
    "steps-2": DbosSettings(steps=2),
    "async-16": DbosSettings(concurrency=16, polling=0.05),
    "async-64": DbosSettings(concurrency=64),
    "async-256": DbosSettings(concurrency=256),
    "async-64-one-queue": DbosSettings(concurrency=64, queues=1),
    "async-256-one-queue": DbosSettings(concurrency=256, queues=1),
    "async-256-one-queue-workers-2": DbosSettings(concurrency=256, queues=1, workers=2),
    "async-64-accepters-4": DbosSettings(concurrency=64, accepters=4),
    "async-64-accepters-40": DbosSettings(concurrency=64, accepters=40),
    "async-64-polling-0.03": DbosSettings(concurrency=64, polling=0.03),
    "async-64-workers-2": DbosSettings(concurrency=64, workers=2),
    "async-64-apis-2": DbosSettings(concurrency=64, apis=2),
    "threads-16": DbosSettings(kind="threads", concurrency=16, polling=0.05),
    "threads-64": DbosSettings(kind="threads", concurrency=64),
    "threads-64-one-queue": DbosSettings(kind="threads", concurrency=64, queues=1),
    "threads-64-steps-2": DbosSettings(kind="threads", steps=2, concurrency=64),
}

CELERY_BEST, DBOS_BEST = "threads-8", "threads-64"
"""The settings with the highest single runs so far. Others are as good within the noise: see the README."""

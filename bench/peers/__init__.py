"""The job of `burst` done by others, as its yardstick: Celery with Redis and PostgreSQL, and DBOS Transact."""

from bench.peers.choices import CELERY_SWEEP, DBOS_SWEEP, CelerySettings, DbosSettings
from bench.peers.peer import Peer, Progress
from bench.peers.running import celery, dbos

__all__ = ["CELERY_SWEEP", "DBOS_SWEEP", "CelerySettings", "DbosSettings", "Peer", "Progress", "celery", "dbos"]

"""How much is waiting to be sent, and whether the door may take more: asked of the ledger about once a second."""

import asyncio
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from domain.priorities import Priority
from domain.submissions import Submission
from ledger import backlog
from ledger.database import Database, LedgerUnavailable
from ledger.grouping import Full
from observe import logs, metrics

log = logs.get(__name__)

_EVERY = 0.7  # seconds between two questions
_REST = 10  # and at least so many times what the last one took: a long backlog must not be counted all the time
_LATEST = 0.3  # weight of the latest reading in a lane's pace
_LONGEST = 30  # seconds a caller is sent away for


@dataclass(slots=True)
class _Lane:
    """One channel at one priority. `taken`: accepted here since the last reading; `pace`: deliveries leaving, a second.

    What other API processes accept meanwhile looks like a slower pace: callers are then sent away for longer.
    """

    waiting: int = 0
    taken: int = 0
    pace: float = 0.0

    @property
    def depth(self) -> int:
        return self.waiting + self.taken

    def see(self, waiting: int, seconds: float) -> None:
        """A new reading, so many seconds after the last."""
        self.pace += _LATEST * (max(0, self.depth - waiting) / seconds - self.pace)
        self.waiting, self.taken = waiting, 0


class Backlog:
    """The lanes of all channels. Each channel has its own limit: one that is stuck closes the door to itself alone."""

    def __init__(self, db: Database, channels: Iterable[str], *, limit: int) -> None:
        """`limit`: deliveries a channel may have waiting, of a message's own priority and of those before it."""
        self._db, self._limit = db, limit
        self._lanes = {(channel, priority): _Lane() for channel in channels for priority in Priority}
        self._read_at = time.monotonic()
        metrics.LANE_BACKLOG_LIMIT.set(limit)

    def admit(self, submission: Submission) -> None:
        """Raises Full where too much waits: low priority first, for to it the others count, but not the other way.

        What is scheduled adds nothing to what waits now, and is let in.
        """
        if _scheduled(submission):
            return
        for channel in submission.channels:
            lanes = self._before(channel, submission.priority)
            excess = sum(lane.depth for lane in lanes) - self._limit
            if excess > 0:
                raise Full(_pause(excess, sum(lane.pace for lane in lanes)))

    def took(self, submission: Submission) -> None:
        """It was accepted, and waits."""
        if not _scheduled(submission):
            for channel in submission.channels:
                self._lanes[channel, submission.priority].taken += len(submission.recipients)

    async def read(self) -> None:
        """Ask the ledger. Raises LedgerUnavailable: then the last answer stands."""
        found = await backlog.waiting(self._db)
        now = time.monotonic()
        for (channel, priority), lane in self._lanes.items():
            lane.see(found.get((channel, priority), 0), now - self._read_at)
            metrics.LANE_BACKLOG.labels(channel, priority.value).set(lane.waiting)
        self._read_at = now

    async def watch(self) -> None:
        """Read again and again. Endless."""
        while True:
            asked_at = time.monotonic()
            try:
                await self.read()
            except LedgerUnavailable as error:
                log.info("backlog.unread", why=str(error))
            except Exception as error:  # the watch has to outlive whatever it meets
                log.exception("backlog.unread", error=type(error).__name__)
            await asyncio.sleep(max(_EVERY, _REST * (time.monotonic() - asked_at)))

    def _before(self, channel: str, priority: Priority) -> Sequence[_Lane]:
        return [self._lanes[channel, each] for each in Priority if each.key <= priority.key]


def _scheduled(submission: Submission) -> bool:
    return submission.send_at is not None and submission.send_at > datetime.now(UTC)


def _pause(excess: float, pace: float) -> int:
    """Whole seconds until the excess has left at this pace, within bounds."""
    return math.ceil(min(_LONGEST, max(1.0, excess / pace))) if pace > 0 else _LONGEST

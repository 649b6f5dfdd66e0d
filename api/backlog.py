"""How much is waiting to be sent, and whether the door may take more: asked of the ledger about once a second."""

import asyncio
import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from domain import shares
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
    """One channel at one priority. `entering`: let in here and not yet accepted; `taken`: accepted here since the last
    reading; `pace`: deliveries leaving, a second.

    What other API processes accept meanwhile looks like a slower pace: callers are then sent away for longer.
    """

    waiting: Counter[str | None] = field(default_factory=Counter[str | None])  # by tenant, None: shared
    entering: Counter[str | None] = field(default_factory=Counter[str | None])
    taken: Counter[str | None] = field(default_factory=Counter[str | None])
    pace: float = 0.0

    @property
    def depth(self) -> int:
        return self.waiting.total() + self.entering.total() + self.taken.total()

    def of(self, tenant: str) -> int:
        return self.waiting[tenant] + self.entering[tenant] + self.taken[tenant]

    def see(self, waiting: Counter[str | None], seconds: float) -> None:
        """A new reading, so many seconds after the last."""
        self.pace += _LATEST * (max(0, self.depth - waiting.total()) / seconds - self.pace)
        self.waiting, self.taken = waiting, Counter()


class Backlog:
    """The lanes of all channels. Each channel has its own limit: one that is stuck closes the door to itself alone."""

    def __init__(self, db: Database, channels: Iterable[str], *, limit: int, fair: bool = True) -> None:
        """`limit`: deliveries a channel may have waiting, of a message's own priority and of those before it.

        `fair`: beyond it a reserve is for tenants that have less than an even share waiting.
        """
        self._db, self._limit, self._fair = db, limit, fair
        self._lanes = {(channel, priority): _Lane() for channel in channels for priority in Priority}
        self._read_at = time.monotonic()
        metrics.LANE_BACKLOG_LIMIT.set(limit)

    def look(self, submission: Submission) -> None:
        """Raises Full where too much waits: low priority first, for to it the others count, but not back.

        What is scheduled adds nothing to what waits now, and is let in.
        """
        if _scheduled(submission):
            return
        for channel in submission.channels:
            lanes = self._before(channel, submission.priority)
            depth = sum(lane.depth for lane in lanes)
            excess = depth - self._limit
            if excess > 0 and not (self._fair and self._has_little(submission.tenant, lanes, depth)):
                raise Full(_pause(excess, sum(lane.pace for lane in lanes)))

    def admit(self, submission: Submission) -> None:
        """Look, and count it in. Raises Full."""
        self.look(submission)
        if _scheduled(submission):
            return
        for channel in submission.channels:
            self._lanes[channel, submission.priority].entering[submission.tenant] += len(submission.recipients)

    def entered(self, submission: Submission, *, accepted: bool) -> None:
        """What was let in is through: accepted and waiting, or not, or it had been accepted before."""
        if _scheduled(submission):
            return
        for channel in submission.channels:
            lane = self._lanes[channel, submission.priority]
            lane.entering[submission.tenant] -= len(submission.recipients)
            if lane.entering[submission.tenant] <= 0:
                del lane.entering[submission.tenant]
            if accepted:
                lane.taken[submission.tenant] += len(submission.recipients)

    async def read(self) -> None:
        """Ask the ledger. Raises LedgerUnavailable: then the last answer stands."""
        found = await backlog.waiting(self._db)
        now = time.monotonic()
        waiting: defaultdict[tuple[str, Priority], Counter[str | None]] = defaultdict(Counter)
        for (channel, priority, tenant), n in found.items():
            waiting[channel, priority][tenant] = n
        for (channel, priority), lane in self._lanes.items():
            lane.see(waiting[channel, priority], now - self._read_at)
            metrics.LANE_BACKLOG.labels(channel, priority.value).set(lane.waiting.total())
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

    def _has_little(self, tenant: str, lanes: Sequence[_Lane], depth: int) -> bool:
        own = sum(lane.of(tenant) for lane in lanes)
        others = {each for lane in lanes for each in (*lane.waiting, *lane.entering, *lane.taken)} - {tenant}
        return shares.room(own, depth, self._limit, len(others) + 1) > 0

    def _before(self, channel: str, priority: Priority) -> Sequence[_Lane]:
        return [self._lanes[channel, each] for each in Priority if each.key <= priority.key]


def _scheduled(submission: Submission) -> bool:
    return submission.send_at is not None and submission.send_at > datetime.now(UTC)


def _pause(excess: float, pace: float) -> int:
    """Whole seconds until the excess has left at this pace, within bounds."""
    return math.ceil(min(_LONGEST, max(1.0, excess / pace))) if pace > 0 else _LONGEST

"""Writes vendors' answers down as they come, in small groups: one hanging call delays nobody's row."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.channels import Channel
from domain.priorities import Priority
from ledger import deliveries, receipts
from ledger.database import Database
from ledger.deliveries import Answered, Recorded
from ledger.grouping import Flushed, Group

_CAP = 512  # answers in one statement
_BOUND = 100_000  # answers waiting in memory; far above what all calls in flight can be
_PACE = 0.04  # seconds: answers of a burst gather this long, well under the 100 ms a status may lag


@dataclass(frozen=True, slots=True)
class Route:
    """What the answers of one statement have in common."""

    channel: Channel
    provider: str
    priority: Priority
    match_by_id: bool  # the vendor's reports name its message id only
    keep_refs: bool  # whose its message ids are is asked for later: by its reports, or by our look-ups


class Recorder:
    """One per process, shared by everything it delivers."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._groups: dict[tuple[str, str, Priority], Group[Sequence[Answered], Sequence[Recorded]]] = {}

    async def record(self, route: Route, answers: Sequence[Answered]) -> Sequence[Recorded]:
        """Returns when they are committed: the rows they changed."""
        key = (route.channel.name, route.provider, route.priority)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._group(route)
        return await group.put(answers, weight=len(answers))

    def _group(self, route: Route) -> Group[Sequence[Answered], Sequence[Recorded]]:
        async def flush(calls: Sequence[Sequence[Answered]]) -> Flushed[Sequence[Recorded]]:
            return await self._flush(route, calls), None

        return Group(flush, cap=_CAP, bound=_BOUND, pace=_PACE)

    async def _flush(self, route: Route, calls: Sequence[Sequence[Answered]]) -> Sequence[Sequence[Recorded]]:
        answers = [answered for call in calls for answered in call]
        recorded = await deliveries.record(
            self._db, route.channel, route.provider, route.priority, answers, keep_refs=route.keep_refs
        )
        if route.match_by_id:
            # Our half of the two-sided matching: the references are committed, now look for receipts that came first.
            ids = [(route.provider, a.answer.message_id) for a in answers if a.answer.message_id]
            await receipts.match(self._db, ids)
        changed = {row.delivery: row for row in recorded}
        mine = [[changed.get(answered.claim.key.delivery) for answered in call] for call in calls]
        return [[row for row in rows if row is not None] for rows in mine]

    async def close(self) -> None:
        """Wait for what is being written."""
        for group in self._groups.values():
            await group.close()

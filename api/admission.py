"""Who is let in to the lanes: what finds room; and in any case a repeat of what was accepted before."""

from collections.abc import Sequence

from api.backlog import Backlog
from api.lanes import Lanes
from domain.submissions import Accepted, Submission
from ledger.database import Database
from ledger.grouping import Flushed, Full, Group
from ledger.intake import Verdict
from ledger.replays import known

_CAP = 500  # repeats looked up in one statement
_BOUND = 10_000  # repeats waiting in memory; then they are refused like the rest


class Admission:
    """One per API process, in front of its lanes."""

    def __init__(self, db: Database, lanes: Lanes, backlog: Backlog) -> None:
        self._db, self._lanes, self._backlog = db, lanes, backlog
        self._repeats = Group[Submission, Verdict | None](self._look_up, cap=_CAP, bound=_BOUND)

    def look(self, submission: Submission) -> None:
        """Before it costs anything: raises Full where that is certain. One that may be a repeat is not refused here."""
        if submission.idempotency_key is None:
            self._backlog.look(submission)

    async def repeated(self, submission: Submission) -> Accepted | None:
        """The first answer again, if there was one under its key. Raises Refused, Full, LedgerUnavailable."""
        verdict = await self._repeats.put(submission) if submission.idempotency_key else None
        if verdict is None or isinstance(verdict, Accepted):
            return verdict
        raise verdict

    async def submit(self, submission: Submission) -> Accepted:
        """Returns once it is committed. Raises Refused, Full, LedgerUnavailable."""
        try:
            self._backlog.admit(submission)
        except Full as full:
            if found := await self.repeated(submission):
                return found
            raise full from None
        new = False
        try:
            accepted = await self._lanes.submit(submission)
            new = not accepted.replayed
        finally:
            self._backlog.entered(submission, accepted=new)
        return accepted

    async def _look_up(self, repeats: Sequence[Submission]) -> Flushed[Verdict | None]:
        return await known(self._db, repeats), None

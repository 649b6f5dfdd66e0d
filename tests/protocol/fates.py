"""What becomes of one row of the model: by a claim, an answer, a receipt, a move, or the end of a provider's chance."""

from collections.abc import Iterator, Sequence

from guards import GUARDS
from states import ARRIVES, BOUNCES, Answer, Call, Row, St, Taken


class Fates:
    """Without the guards in `off`."""

    def __init__(self, off: Sequence[str], idempotent: tuple[bool, bool], tries: int, attempts: int) -> None:
        """As in `Protocol`."""
        self.has = {name: name not in off for name in GUARDS}
        self.idempotent, self.tries, self.attempts = idempotent, tries, attempts

    def _claimed(self, row: Row, provider: int, repeat: bool) -> Row:
        new_key = not repeat or not self.has["stable_key"]
        counts = not repeat and row.doubts > 0 and self.has["count_duplicate"]
        return row._replace(
            status=St.SENDING,
            provider=provider,
            attempt=row.attempt + 1,
            key=row.key + new_key,
            tries=row.tries + 1,
            duplicates=row.duplicates + counts,
        )

    def _repeatable(self, row: Row, provider: int) -> bool:
        return (
            row.status is St.IN_DOUBT
            and self.idempotent[provider]
            and row.provider == provider
            and row.tries < self.tries
            and row.attempt < self.attempts
        )

    def _recorded(self, row: Row, call: Call) -> Row:
        if self.has["fence"] and row.attempt != call.attempt:
            return row
        mine = {St.SENDING, St.IN_DOUBT} | (set() if self.has["final"] else {St.DELIVERED, St.UNDELIVERED})
        if row.status not in mine:
            return row
        doubts = row.doubts - (row.status is St.IN_DOUBT and row.doubts > 0)
        if call.answer is Answer.ACCEPTED:
            return row._replace(status=St.SENT, doubts=doubts)
        if call.answer is Answer.REFUSED:
            spent = row.tries >= self.tries or row.attempt >= self.attempts
            return row._replace(status=St.UNDELIVERED if spent else St.QUEUED, doubts=doubts)
        return row._replace(status=St.IN_DOUBT, doubts=row.doubts + 1) if row.status is St.SENDING else row

    def _heard(self, row: Row, m: Taken) -> Row:
        current = m.key == row.key
        live = BOUNCES if self.has["receipt_doubt"] else BOUNCES - {St.IN_DOUBT}
        if m.arrives:
            late = self.has["late_delivered"]
            known = current or late or not self.has["receipt_key"]
            moves = known and (row.status in live or (late and row.status in ARRIVES - BOUNCES))
            return row._replace(status=St.DELIVERED) if moves else row
        if self.has["receipt_key"] and not current:
            return row
        if row.status is St.UNCONFIRMED:
            return row._replace(status=St.FAILED)
        fewer = row.status is St.IN_DOUBT and row.doubts > 0
        return row._replace(status=St.UNDELIVERED, doubts=row.doubts - fewer) if row.status in live else row

    def _onward(self, row: Row, doubts: int = 0) -> Row:
        """To the next provider; without one, an end."""
        following = self._next(row)
        if following is not None:
            spent = row.spent | {row.provider} if self.has["spent"] else row.spent
            return row._replace(status=St.QUEUED, provider=following, doubts=row.doubts + doubts, tries=0, spent=spent)
        end = St.UNCONFIRMED if row.status is St.SENT else St.DEAD
        return row._replace(status=end, doubts=row.doubts + doubts)

    def _next(self, row: Row) -> int | None:
        """The other provider, if it has not had its chance."""
        other = 1 - row.provider
        return None if other in row.spent or row.attempt >= self.attempts else other

    def _moved(self, row: Row) -> Iterator[Row]:
        """Queued for the other provider instead, if that has not had its chance: this one has not, either."""
        other = 1 - row.provider
        movable = row.status is St.QUEUED or (row.status is St.SENDING and not self.has["move_queued"])
        if movable and (other not in row.spent or not self.has["move_spent"]):
            doubts = row.doubts if self.has["move_doubts"] else 0
            yield row._replace(status=St.QUEUED, provider=other, tries=0, doubts=doubts)

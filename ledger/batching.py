"""Which deliveries of a group share a batch, and so a run; and which go into one that is still open."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.channels import Channel, Channels
from domain.ids import new_id
from domain.priorities import Priority
from domain.runs import Part, Run
from domain.submissions import Recipient, Submission

_MUCH = 16  # deliveries a tenant has in one flush
SPLIT = 512  # deliveries: a notification with more fills several batches


@dataclass(frozen=True, slots=True)
class Batch:
    """Deliveries that one run will carry. `had`: how many of them an earlier commit brought; 0 in a new one."""

    run: Run
    start_at: datetime | None
    had: int = 0

    @property
    def size(self) -> int:
        """Deliveries, all of them."""
        return sum(part.size for part in self.run.parts)


@dataclass(slots=True)  # one for each delivery: a frozen one takes three times as long to make
class Row:
    """One delivery to be."""

    batch: UUID
    seq: int
    submission: Submission
    recipient: Recipient
    channel: str
    address: str | None
    provider: str
    life: float  # seconds


class _Leg(NamedTuple):
    """A channel, and the provider that a batch is queued for there."""

    channel: Channel
    provider: str


_Wanted = tuple[Submission, _Leg, Recipient]


class Batcher:
    """Makes the rows of a group, and the batches they fill."""

    def __init__(
        self, channels: Channels, cap: int, first: Callable[[Channel], str], weight_of: Callable[[str], int] | None
    ) -> None:
        """As in `Intake`."""
        self._channels, self._cap, self._first, self._weight_of = channels, cap, first, weight_of

    def batches(self, submissions: Sequence[Submission], opened: Sequence[Batch] = ()) -> tuple[list[Batch], list[Row]]:
        """All of these, whose recipients have their addresses. `opened`: batches that may get more deliveries."""
        batches: list[Batch] = []
        rows: list[Row] = []
        left = list(opened)
        for group in _groups(submissions, self._cap, fair=self._weight_of is not None):
            legs = self._legs({name for s in group for name in s.channels})
            wanted = [(s, legs[name], recipient) for s in group for name in s.channels for recipient in s.recipients]
            batch = self._open_to(left, group, legs.values(), len(wanted))
            if batch is None:
                self._fill(wanted, batches, rows)
                continue
            left.remove(batch)
            part = _rows(UUID(batch.run.batch), batch.size, wanted)
            rows += part
            batches.append(_grown(batch, part))
        return batches, rows

    def _fill(self, wanted: Sequence[_Wanted], batches: list[Batch], rows: list[Row]) -> None:
        """New batches."""
        lead = new_id()
        for start in range(0, len(wanted), SPLIT):
            part = _rows(lead if start == 0 else new_id(), 0, wanted[start : start + SPLIT])
            rows += part
            batches.append(self._batch(part))

    def _open_to(
        self, opened: Iterable[Batch], group: Sequence[Submission], legs: Iterable[_Leg], size: int
    ) -> Batch | None:
        """One of these that has room for a group and is of its kind in every way."""
        kind = (group[0].priority, group[0].send_at, _only_tenant(group))
        ways = {(leg.channel.name, leg.provider) for leg in legs}
        for batch in opened:
            run = batch.run
            alike = (run.priority, batch.start_at, run.tenant) == kind
            if alike and batch.size + size <= self._cap and ways <= {(p.channel, p.provider) for p in run.parts}:
                return batch
        return None

    def _legs(self, names: Iterable[str]) -> dict[str, _Leg]:
        """Each channel is asked once: a batch stays together."""
        return {name: _Leg(self._channels[name], self._first(self._channels[name])) for name in names}

    def _batch(self, rows: Sequence[Row]) -> Batch:
        sizes = Counter((row.channel, row.provider) for row in rows)
        first = rows[0].submission
        tenant = _only_tenant(row.submission for row in rows)
        run = Run(
            batch=str(rows[0].batch),
            priority=first.priority,
            parts=[Part(name, size, provider) for (name, provider), size in sizes.items()],
            tenant=tenant,
        )
        if tenant and self._weight_of:
            run = replace(run, owner=tenant, weight=self._weight_of(tenant))
        return Batch(run, first.send_at)


def _grown(batch: Batch, rows: Sequence[Row]) -> Batch:
    more = Counter(row.channel for row in rows)
    parts = [replace(part, size=part.size + more[part.channel]) for part in batch.run.parts]
    return replace(batch, run=replace(batch.run, parts=parts), had=batch.size)


def _only_tenant(submissions: Iterable[Submission]) -> str | None:
    tenants = {submission.tenant for submission in submissions}
    return tenants.pop() if len(tenants) == 1 else None


def _rows(batch: UUID, start: int, wanted: Sequence[_Wanted]) -> list[Row]:
    return [_row(batch, seq, *each) for seq, each in enumerate(wanted, start)]


def _row(batch: UUID, seq: int, submission: Submission, leg: _Leg, recipient: Recipient) -> Row:
    channel = leg.channel
    address = recipient.addresses.get(channel.address)
    return Row(batch, seq, submission, recipient, channel.name, address, leg.provider, channel.life)


def _groups(submissions: Sequence[Submission], cap: int, *, fair: bool) -> Iterable[list[Submission]]:
    """What shares a batch: priority, start time, and at most `cap` deliveries unless one alone has more.

    Who has much gets batches of their own, which take turns with those of the others; the rest share.
    """
    size_of = Counter[str]()
    for submission in submissions:
        size_of[submission.tenant] += submission.size
    apart: dict[tuple[Priority, datetime | None, str | None], list[Submission]] = {}
    for submission in submissions:
        own = submission.tenant if fair and size_of[submission.tenant] >= _MUCH else None
        apart.setdefault((submission.priority, submission.send_at, own), []).append(submission)
    for alike in apart.values():
        group: list[Submission] = []
        size = 0
        for submission in alike:
            if group and size + submission.size > cap:
                yield group
                group, size = [], 0
            group.append(submission)
            size += submission.size
        yield group

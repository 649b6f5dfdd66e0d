"""Which deliveries of a group share a batch, and so a run."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.channels import Channel, Channels
from domain.ids import new_id
from domain.runs import Part, Run
from domain.submissions import Recipient, Submission

_MUCH = 16  # deliveries a tenant has in one flush
SPLIT = 512  # deliveries: a notification with more fills several batches


@dataclass(frozen=True, slots=True)
class Batch:
    """What was committed as one, and the run that will carry it."""

    run: Run
    start_at: datetime | None


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


class Batcher:
    """Makes the rows of a group, and the batches they fill."""

    def __init__(
        self, channels: Channels, cap: int, first: Callable[[Channel], str], weight_of: Callable[[str], int] | None
    ) -> None:
        """As in `Intake`."""
        self._channels, self._cap, self._first, self._weight_of = channels, cap, first, weight_of

    def batches(self, submissions: Sequence[Submission]) -> tuple[list[Batch], list[Row]]:
        """All of these, whose recipients have their addresses."""
        batches: list[Batch] = []
        rows: list[Row] = []
        for group in _groups(submissions, self._cap, fair=self._weight_of is not None):
            legs = self._legs({name for s in group for name in s.channels})
            wanted = [(s, legs[name], recipient) for s in group for name in s.channels for recipient in s.recipients]
            lead = new_id()
            for start in range(0, len(wanted), SPLIT):
                batch = lead if start == 0 else new_id()
                part = [_row(batch, seq, *each) for seq, each in enumerate(wanted[start : start + SPLIT])]
                rows += part
                batches.append(self._batch(batch, part))
        return batches, rows

    def _legs(self, names: Iterable[str]) -> dict[str, _Leg]:
        """Each channel is asked once: a batch stays together."""
        return {name: _Leg(self._channels[name], self._first(self._channels[name])) for name in names}

    def _batch(self, batch: UUID, rows: Sequence[Row]) -> Batch:
        sizes = Counter((row.channel, row.provider) for row in rows)
        first = rows[0].submission
        tenant = first.tenant if len({row.submission.tenant for row in rows}) == 1 else None
        run = Run(
            batch=str(batch),
            priority=first.priority,
            parts=[Part(name, size, provider) for (name, provider), size in sizes.items()],
            tenant=tenant,
        )
        if tenant and self._weight_of:
            run = replace(run, owner=tenant, weight=self._weight_of(tenant))
        return Batch(run, first.send_at)


def _row(batch: UUID, seq: int, submission: Submission, leg: _Leg, recipient: Recipient) -> Row:
    channel = leg.channel
    address = recipient.addresses.get(channel.address)
    return Row(batch, seq, submission, recipient, channel.name, address, leg.provider, channel.life)


def _groups(submissions: Sequence[Submission], cap: int, *, fair: bool) -> Iterable[list[Submission]]:
    """What shares a batch: the same start time, and at most `cap` deliveries unless one alone has more.

    Who has much gets batches of their own, which take turns with those of the others; the rest share.
    """
    size_of = Counter[str]()
    for submission in submissions:
        size_of[submission.tenant] += submission.size
    apart: dict[tuple[datetime | None, str | None], list[Submission]] = {}
    for submission in submissions:
        own = submission.tenant if fair and size_of[submission.tenant] >= _MUCH else None
        apart.setdefault((submission.send_at, own), []).append(submission)
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

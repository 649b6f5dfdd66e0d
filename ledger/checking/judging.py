"""Holds one delivery, channel or notification against the invariants. Pure: rows in, findings out."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.deliveries import COUNTED, TERMINAL, Status, overall_status
from domain.ids import DeliveryId
from ledger.checking.history import History
from ledger.checking.report import Finding, Invariant

# Seconds. Generous: a busy installation is not a broken one.
_RUN_LATE = 60.0  # past the time of its next look: the sweep calls a run every 30 s at the latest
_SENDING_LATE = 150.0  # since the claim: a claim is looked after every 45 s
_ROW_LATE = 600.0  # past the time something had to be decided
_LOOK_NEAR = 900.0  # from now, or from when the last delivery is due: runs poll every 5 minutes at least
_CALL = 30.0  # the longest vendor call, and as much for a process that was stalled in the middle

_OPEN_ENDED = frozenset({Status.CANCELLED, Status.EXPIRED, Status.SUPPRESSED})  # nobody may have got it
_THERE = frozenset({Status.DELIVERED, Status.SENT_FINAL})


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery as it is now. `waited`: seconds since something had to be done to it, whatever its state asks for."""

    id: DeliveryId
    channel: str
    status: Status
    attempt: int
    key_no: int
    doubts: int
    possible_duplicates: int
    due_at: datetime
    claimed_at: datetime | None
    expires_at: datetime | None
    waited: float | None
    owned: bool  # its notification is there


@dataclass(frozen=True, slots=True)
class Take:
    """A message some vendor took, by its own log."""

    key_no: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a batch, at the moment `now`."""

    awaiting: int
    done: bool
    next_look_at: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification: `found` counts its deliveries by state, in the places it says they are.

    `still`: none of its channels will be looked at without news; only then its end has to be written.
    """

    size: int
    found: Mapping[Status, int]
    ended: str | None
    still: bool


def of_delivery(row: Row, history: History) -> Iterator[Finding]:
    """A delivery against its own events."""
    yield Invariant.COMPLETE, None if row.owned else "its notification is missing"
    yield Invariant.PATH, _first(history.off_path) or _differs("status", row.status, history.status)
    fence = _differs("attempt", row.attempt, history.attempt) or _differs("key", row.key_no, history.key_no)
    yield Invariant.FENCE, _first(history.off_count) or fence
    duplicates = _differs("possible duplicates", row.possible_duplicates, history.duplicates)
    yield Invariant.DOUBTS, duplicates or _differs("doubts", row.doubts, history.doubts)
    yield Invariant.STUCK, _overdue(row)
    if row.expires_at and row.claimed_at:
        # An event's time would not do: it is that of its writing, and PostgreSQL may have stood still since the claim.
        yield Invariant.EXPIRY, "claimed after it had expired" if row.claimed_at >= row.expires_at else None


def of_takes(row: Row, history: History, takes: Sequence[Take]) -> Iterator[Finding]:
    """A delivery against what the vendors say they took of it."""
    keys = {take.key_no for take in takes}
    missing = sorted(history.yes - keys)
    gone = f"key {missing[0]} was accepted, they say" if missing else None
    lost = f"it is {row.status}, they say" if row.status in _THERE and not takes else None
    yield Invariant.TAKEN, gone or lost
    counted = row.possible_duplicates + history.bounced
    too_often = f"taken {len(takes)} times, {row.possible_duplicates} possible duplicates counted"
    yield Invariant.ONCE, too_often if len(takes) - 1 > counted else None
    yield Invariant.NEVER, f"it is {row.status}, and was taken" if takes and row.status in _OPEN_ENDED else None
    for take in takes:
        yield Invariant.CLAIMED, _unclaimed(history, take)
        if row.expires_at:
            yield Invariant.LATE, _too_late(history, take, row.expires_at)


def of_channel(channel: Channel, rows: Sequence[Row]) -> Iterator[Finding]:
    """A channel of a batch against its deliveries."""
    counted = sum(row.status in COUNTED for row in rows)
    yield Invariant.AWAITING, _differs("awaiting", channel.awaiting, counted)
    late = (channel.now - channel.next_look_at).total_seconds()
    overdue = not channel.done and late > _RUN_LATE
    yield Invariant.STUCK, f"nobody has looked at it for {late:.0f} s" if overdue else None
    open_rows = [row for row in rows if row.status not in TERMINAL]
    if open_rows:
        yield Invariant.OPEN, _unseen(channel, open_rows)


def of_letters(dead: Collection[DeliveryId], letters: Collection[DeliveryId]) -> Iterator[tuple[DeliveryId, Finding]]:
    """Dead deliveries of some batches against the dead letters of the same."""
    for delivery in sorted({*dead, *letters}):
        why = "no letter" if delivery not in letters else "not dead" if delivery not in dead else None
        yield delivery, (Invariant.LETTERS, why)


def of_notification(notification: Notification) -> Iterator[Finding]:
    """A notification against its deliveries."""
    there = sum(notification.found.values())
    yield Invariant.COMPLETE, _differs("deliveries", there, notification.size)
    over = notification.found.keys() <= TERMINAL
    if over and notification.still:
        wanted = overall_status(notification.found, scheduled=False)
        yield Invariant.ENDS, _differs("end", notification.ended, wanted)
    elif not over:
        yield Invariant.ENDS, f"it is {notification.ended}, and still open" if notification.ended else None


def _unclaimed(history: History, take: Take) -> str | None:
    return None if take.key_no in history.claimed_at else f"key {take.key_no} was taken, and never claimed"


def _too_late(history: History, take: Take, expires_at: datetime) -> str | None:
    began = history.claimed_at.get(take.key_no)
    under_way = began is not None and take.at <= began + timedelta(seconds=_CALL)
    late = (take.at - expires_at).total_seconds()
    return f"taken {late:.1f} s after it had expired" if late >= 0 and not under_way else None


def _overdue(row: Row) -> str | None:
    limit = _SENDING_LATE if row.status is Status.SENDING else _ROW_LATE
    waited = row.waited or 0.0
    return f"{row.status}, and {waited:.0f} s overdue" if waited > limit else None


def _unseen(channel: Channel, open_rows: Sequence[Row]) -> str | None:
    if channel.done:
        return "its channel is done"
    latest = max(channel.now, *(row.due_at for row in open_rows)) + timedelta(seconds=_LOOK_NEAR)
    return f"the next look is at {channel.next_look_at:%Y-%m-%dT%H:%MZ}" if channel.next_look_at > latest else None


def _first(faults: Sequence[str]) -> str | None:
    return faults[0] if faults else None


def _differs(what: str, found: object, wanted: object) -> str | None:
    return None if found == wanted else f"{what}: {found}, should be {wanted}"

"""What becomes of a delivery that cannot go on as it is: the rule `settle` applies to each row, from the row alone."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.channels import Channel, Then
from domain.deliveries import Status


@dataclass(frozen=True, slots=True)
class Standing:
    """A delivery as `settle` sees it, under its lock."""

    status: Status
    provider: str | None
    tries: int
    doubts: int
    reason: str | None
    sent_at: datetime | None
    doubt_until: datetime | None
    expires_at: datetime | None
    give_up_at: datetime


@dataclass(frozen=True, slots=True)
class Move:
    """Where it goes. `afresh`: queued for `provider` with its whole budget, due now. `doubts`: added to the row's."""

    to: Status
    reason: str | None
    provider: str | None
    afresh: bool = False
    doubts: int = 0


def decide(row: Standing, channel: Channel, now: datetime) -> Move | None:
    """The next state of a row that is stuck, silent, late or out of budget; None if it may go on as it is.

    `now` is the database's clock, as are all times of the row.
    """
    match row.status:
        case Status.QUEUED:
            return _queued(row, channel, now)
        case Status.UNDELIVERED:
            return _onward(row, channel, row.reason)
        case Status.SENT:
            return _silent(row, channel, now)
        case Status.IN_DOUBT:
            return _doubtful(row, channel, now)
        case _:
            return None


def _queued(row: Standing, channel: Channel, now: datetime) -> Move | None:
    if row.expires_at and row.expires_at <= now:
        end = Status.UNCONFIRMED if row.doubts else Status.EXPIRED
        return Move(end, "expired", row.provider)
    if row.provider not in channel.route:
        return _onward(row, channel, "provider left the route")
    if row.tries >= channel.tries:
        return _onward(row, channel, row.reason)
    if row.give_up_at <= now:
        return _onward(row, channel, "too old")
    return None


def _silent(row: Standing, channel: Channel, now: datetime) -> Move | None:
    if row.sent_at is None or row.sent_at + timedelta(seconds=channel.window) > now:
        return None
    following = channel.after(row.provider)
    if channel.silence is Then.ACCEPT or following is None:
        return Move(Status.UNCONFIRMED, "no receipt", row.provider)
    return Move(Status.QUEUED, "no receipt", following, afresh=True, doubts=1)


def _doubtful(row: Standing, channel: Channel, now: datetime) -> Move | None:
    if row.doubt_until is None or row.doubt_until > now:
        return None
    if channel.doubtful is Then.ACCEPT:
        return Move(Status.UNCONFIRMED, "in doubt", row.provider)
    following = channel.after(row.provider)
    if following is not None:
        return Move(Status.QUEUED, "in doubt", following, afresh=True)
    if row.tries < channel.tries:
        return Move(Status.QUEUED, "in doubt", row.provider)
    return Move(Status.DEAD, "in doubt", row.provider)


def _onward(row: Standing, channel: Channel, reason: str | None) -> Move:
    following = channel.after(row.provider)
    if following is None:
        return Move(Status.DEAD, reason, row.provider)
    return Move(Status.QUEUED, reason, following, afresh=True)

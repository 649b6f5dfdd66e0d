"""What becomes of a delivery that cannot go on as it is: the rule `settle` applies to each row, from the row alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.channels import Channel, Then
from domain.deliveries import Status
from domain.priorities import Priority


@dataclass(frozen=True, slots=True)
class Roads:
    """How the providers of a channel stand for messages of one priority."""

    order: tuple[str, ...]  # who may be given messages, best first: those that take some now, then the others
    held: Mapping[str, float | None]  # who takes nothing now: seconds until asking makes sense; None: nobody knows

    @property
    def working(self) -> tuple[str, ...]:
        """Who takes messages now."""
        return tuple(name for name in self.order if name not in self.held)


@dataclass(frozen=True, slots=True)
class Standing:
    """A delivery as `settle` sees it, under its lock."""

    status: Status
    provider: str | None
    tries: int
    doubts: int
    reason: str | None
    due_at: datetime
    sent_at: datetime | None
    doubt_until: datetime | None
    expires_at: datetime | None
    give_up_at: datetime
    spent: tuple[str, ...] = ()  # providers that have had their chance with it


@dataclass(frozen=True, slots=True)
class Move:
    """Where it goes. `afresh`: queued for `provider` with its whole budget, due now. `doubts`: added to the row's.

    `spent`: the provider it leaves has had its chance; without, it is only not tried now.
    """

    to: Status
    reason: str | None
    provider: str | None
    afresh: bool = False
    doubts: int = 0
    spent: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What settle decides by: the channel's policy, the priority it is for, and how the providers stand."""

    channel: Channel
    priority: Priority
    roads: Roads
    repeats: tuple[str, ...] = ()  # providers that honour our keys: a doubtful send may be repeated
    lookups: tuple[str, ...] = ()  # providers that can be asked what became of a send

    @classmethod
    def clear(cls, channel: Channel, priority: Priority = Priority.NORMAL) -> "Rules":
        """All providers of the route work."""
        return cls(channel, priority, Roads(channel.route, {}))

    @property
    def patience(self) -> float:
        """Seconds a due message waits while no provider works."""
        return self.channel.patience[self.priority]


def decide(row: Standing, rules: Rules, now: datetime) -> Move | None:
    """The next state of a row that is stuck, silent, late or out of budget; None if it may go on as it is.

    `now` is the database's clock, as are all times of the row.
    """
    match row.status:
        case Status.QUEUED:
            return _queued(row, rules, now)
        case Status.UNDELIVERED:
            return _onward(row, rules, row.reason)
        case Status.SENT:
            return _silent(row, rules, now)
        case Status.IN_DOUBT:
            return _doubtful(row, rules, now)
        case _:
            return None


def _queued(row: Standing, rules: Rules, now: datetime) -> Move | None:
    if row.expires_at and row.expires_at <= now:
        end = Status.UNCONFIRMED if row.doubts else Status.EXPIRED
        return Move(end, "expired", row.provider)
    if row.provider not in rules.channel.route:
        return _onward(row, rules, "provider left the route")
    if row.tries >= rules.channel.tries:
        return _onward(row, rules, row.reason)
    if row.give_up_at <= now:
        return _onward(row, rules, "too old")
    if row.provider in rules.roads.held:
        return _held(row, rules, now)
    return None


def _held(row: Standing, rules: Rules, now: datetime) -> Move | None:
    """Its provider takes nothing now: to one that does, or it waits, but not without end."""
    other = next((name for name in rules.roads.working if name not in row.spent), None)
    if other is not None:
        return Move(Status.QUEUED, f"{row.provider} takes nothing now", other, afresh=True)
    if row.due_at + timedelta(seconds=rules.patience) <= now:
        return Move(Status.DEAD, "no provider works", row.provider)
    return None


def _silent(row: Standing, rules: Rules, now: datetime) -> Move | None:
    if row.sent_at is None or row.sent_at + timedelta(seconds=rules.channel.window) > now:
        return None
    following = _after(row, rules)
    if rules.channel.silence is Then.ACCEPT or following is None:
        return Move(Status.UNCONFIRMED, "no receipt", row.provider)
    return Move(Status.QUEUED, "no receipt", following, afresh=True, doubts=1, spent=True)


def _doubtful(row: Standing, rules: Rules, now: datetime) -> Move | None:
    if row.doubt_until is None or row.doubt_until > now:
        return None
    if rules.channel.doubtful is Then.ACCEPT:
        return Move(Status.UNCONFIRMED, "in doubt", row.provider)
    following = _after(row, rules)
    if following is not None:
        return Move(Status.QUEUED, "in doubt", following, afresh=True, spent=True)
    if row.tries < rules.channel.tries:
        return Move(Status.QUEUED, "in doubt", row.provider)
    return Move(Status.DEAD, "in doubt", row.provider)


def _onward(row: Standing, rules: Rules, reason: str | None) -> Move:
    following = _after(row, rules)
    if following is None:
        return Move(Status.DEAD, reason, row.provider)
    return Move(Status.QUEUED, reason, following, afresh=True, spent=True)


def _after(row: Standing, rules: Rules) -> str | None:
    """The best provider that has not had its chance; one an operator stopped only when no other is left."""
    had = (*row.spent, row.provider)
    return next((name for name in (*rules.roads.order, *rules.channel.route) if name not in had), None)

"""One delivery's history, read again from its events: where it leads, and where it breaks the rules of the path."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from domain.deliveries import TRANSITIONS, Status, Step

_BEGINNINGS = frozenset({Status.QUEUED, Status.SUPPRESSED})
_YES = frozenset({Status.SENT, Status.SENT_FINAL})


@dataclass(frozen=True, slots=True)
class Event:
    """A line of `delivery_event`, in its own words."""

    at: datetime
    step: str
    old: str | None
    new: str
    attempt: int
    key_no: int


@dataclass(slots=True)
class History:
    """What the events say once all are read. `claimed_at`, `yes`: by send key."""

    status: Status | None = None
    attempt: int = 0
    key_no: int = 0
    doubts: int = 0
    duplicates: int = 0
    claimed_at: dict[int, datetime] = field(default_factory=dict[int, datetime])
    yes: set[int] = field(default_factory=set[int])  # a vendor said that it took this one
    bounced: int = 0  # sends of which a vendor said later that they did not arrive
    been: set[Status] = field(default_factory=set[Status])
    off_path: list[str] = field(default_factory=list[str])
    off_count: list[str] = field(default_factory=list[str])


def read(events: Iterable[Event]) -> History:
    """Follow the events from the first to the last."""
    history = History()
    for event in events:
        try:
            _follow(history, Step(event.step), event, Status(event.old) if event.old else None, Status(event.new))
        except ValueError:
            history.off_path.append(f"unknown words: {event.step} {event.old} -> {event.new}")
    if history.status is None:
        history.off_path.append("no beginning")
    return history


def _follow(history: History, step: Step, event: Event, old: Status | None, new: Status) -> None:
    if step is Step.ACCEPT or old is None or history.status is None:
        _begin(history, step, event, old, new)
    elif old is new and new not in TRANSITIONS.get(step, {}).get(old, ()):
        _note(history, event, new)
    else:
        _move(history, step, event, old, new)


def _begin(history: History, step: Step, event: Event, old: Status | None, new: Status) -> None:
    if history.status is not None or step is not Step.ACCEPT or old is not None or new not in _BEGINNINGS:
        history.off_path.append(f"no beginning: {step} {old} -> {new}")
    if (event.attempt, event.key_no) != (0, 0):
        history.off_count.append(f"accepted as attempt {event.attempt}, key {event.key_no}")
    history.status = new
    history.been.add(new)


def _note(history: History, event: Event, named: Status) -> None:
    """What came too late to count, or says again what is known: it changes nothing, and names nothing unheard of."""
    if named not in history.been:
        history.off_path.append(f"{event.step} notes {named}, where it never was")
    if event.attempt > history.attempt or event.key_no > history.key_no:
        history.off_count.append(f"{event.step} notes attempt {event.attempt}, key {event.key_no} before its claim")


def _move(history: History, step: Step, event: Event, old: Status, new: Status) -> None:
    if old is not history.status:
        history.off_path.append(f"{step} from {old}, but it was {history.status}")
    if new not in TRANSITIONS.get(step, {}).get(old, ()):
        history.off_path.append(f"{step} may not move {old} -> {new}")
    claims, keys = step in (Step.CLAIM, Step.RESUME), step is Step.CLAIM
    if (event.attempt, event.key_no) != (history.attempt + claims, history.key_no + keys):
        history.off_count.append(
            f"{step}: attempt {history.attempt} -> {event.attempt}, key {history.key_no} -> {event.key_no}"
        )
    history.attempt, history.key_no = event.attempt, event.key_no
    history.duplicates += keys and history.doubts > 0
    history.doubts += _change_of_doubts(step, old, new)
    if claims:
        history.claimed_at[event.key_no] = event.at
    if new in _YES:
        history.yes.add(event.key_no)
    history.bounced += step is Step.RECEIPT and new in (Status.UNDELIVERED, Status.FAILED)
    history.status = new
    history.been.add(new)


def _change_of_doubts(step: Step, old: Status, new: Status) -> int:
    """A send nobody answered for is a doubt; a definite answer ends it; time, a repeat and good news do not."""
    if new is Status.IN_DOUBT:
        return 1
    if old is Status.IN_DOUBT:
        goes_on = step in (Step.SETTLE, Step.RESUME) or new is Status.DELIVERED
        return 0 if goes_on else -1
    return int(step is Step.SETTLE and old is Status.SENT and new is Status.QUEUED)

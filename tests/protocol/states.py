"""What one state of the model holds: everything that survives a crash, and everything that may still act."""

from enum import StrEnum
from typing import NamedTuple


class St(StrEnum):
    """A delivery's status. `sent_final` is left out: it behaves as `unconfirmed` does."""

    QUEUED = "Q"
    SENDING = "S"
    SENT = "T"
    IN_DOUBT = "I"
    UNDELIVERED = "U"
    DELIVERED = "D"
    UNCONFIRMED = "N"
    FAILED = "F"
    DEAD = "X"
    CANCELLED = "C"  # expired is the same, by the clock; suppressed too, by deliver


OPEN = frozenset({St.QUEUED, St.SENDING, St.SENT, St.IN_DOUBT, St.UNDELIVERED})
TERMINAL = frozenset(St) - OPEN
COUNTED = frozenset({St.SENT, St.IN_DOUBT})  # what `awaiting` counts
BOUNCES = frozenset({St.SENDING, St.SENT, St.IN_DOUBT})  # where `undelivered` of the current key matters
ARRIVES = frozenset(St) - {St.DELIVERED, St.CANCELLED}  # where `delivered` of any key matters


class Row(NamedTuple):
    """One delivery. The columns are the ledger's."""

    status: St = St.QUEUED
    provider: int = 0
    attempt: int = 0
    key: int = 0
    doubts: int = 0
    tries: int = 0
    duplicates: int = 0
    spent: frozenset[int] = frozenset()  # providers that have had their chance


class Answer(StrEnum):
    """How far a claim has come: not called yet, or with an answer in hand that is not recorded yet."""

    NONE = "not called"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    TIMEOUT = "in doubt"


class Call(NamedTuple):
    """A claim whose owner may still act. A crash is an owner that never acts again."""

    row: int
    attempt: int
    key: int
    provider: int
    answer: Answer = Answer.NONE
    zombie: bool = False  # the run has given its activity up


class Taken(NamedTuple):
    """A message a vendor really took. Its receipt may come at any time, any number of times, or never."""

    row: int
    key: int
    call: int  # 0 for an idempotent vendor: all calls of a key are one message
    provider: int
    arrives: bool  # what its receipt will say
    bounced: bool = False  # a negative receipt was applied


class Run(StrEnum):
    """What the batch's workflow is doing."""

    NEVER = "0"
    READS = "r"
    DELIVERS_0 = "d0"
    DELIVERS_1 = "d1"
    WAITS = "w"
    CLOSED = "k"  # or parked
    LOST = "l"  # Temporal has no trace of it


DELIVERS = (Run.DELIVERS_0, Run.DELIVERS_1)
GONE = frozenset({Run.NEVER, Run.CLOSED, Run.LOST})


class Budget(NamedTuple):
    """How many faults and interventions are still to come."""

    timeouts: int = 1  # of an activity
    losses: int = 1  # of the workflow
    retries: int = 1  # of dead letters, by an operator
    moves: int = 0  # of queued rows to the other provider, by settle or divert
    additions: int = 0  # of rows that a later commit brings into the batch


class State(NamedTuple):
    """One state of the whole."""

    rows: tuple[Row, ...]
    budget: Budget
    awaiting: int = 0
    calls: frozenset[Call] = frozenset()
    taken: frozenset[Taken] = frozenset()
    run: Run = Run.NEVER
    hint: bool = False  # a signal has arrived and was not looked at yet
    signal: bool = False  # one is on its way; it may be lost
    zombies: frozenset[int] = frozenset()  # providers with a timed-out `deliver` that may still claim


class Step(NamedTuple):
    """A transition. `fair`: with which moods of the vendor it can be relied upon; `broken`: what it violates."""

    label: str
    to: State
    fair: tuple[str, ...] = ()
    broken: str | None = None

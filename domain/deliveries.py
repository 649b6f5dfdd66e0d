"""The life of a delivery: its states, who may move it from one to the next, and what the outside is told."""

from collections.abc import Mapping
from enum import StrEnum


class Status(StrEnum):
    """Where a delivery stands. The values are what the ledger stores."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    IN_DOUBT = "in_doubt"
    UNDELIVERED = "undelivered"
    DELIVERED = "delivered"
    SENT_FINAL = "sent_final"  # accepted by a vendor that never sends receipts: `sent` is all there will be
    UNCONFIRMED = "unconfirmed"
    FAILED = "failed"
    DEAD = "dead"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"


S = Status

TERMINAL = frozenset({S.DELIVERED, S.SENT_FINAL, S.UNCONFIRMED, S.FAILED, S.DEAD, S.CANCELLED, S.EXPIRED, S.SUPPRESSED})
OPEN = frozenset(S) - TERMINAL
COUNTED = frozenset({S.SENT, S.IN_DOUBT})  # `batch_channel.awaiting` is exactly the number of rows in these
WELL_ENDED = frozenset({S.DELIVERED, S.SENT_FINAL, S.UNCONFIRMED})


class Step(StrEnum):
    """Who moves a delivery. Every transition is one of these, and is written to `delivery_event` under its name."""

    ACCEPT = "accept"
    CLAIM = "claim"
    RESUME = "resume"
    ABANDON = "abandon"
    RECORD = "record"
    RECEIPT = "receipt"
    SETTLE = "settle"
    SUPPRESS = "suppress"  # its address gets nothing more, or is gone
    DIVERT = "divert"  # to a provider that may be probed
    CANCEL = "cancel"
    RETRY = "retry"
    DISCARD = "discard"


# From which state to which, by whom. The ledger's checker and the tests hold every `delivery_event` against this table.
TRANSITIONS: Mapping[Step, Mapping[Status, frozenset[Status]]] = {
    Step.CLAIM: {S.QUEUED: frozenset({S.SENDING})},
    Step.RESUME: {S.IN_DOUBT: frozenset({S.SENDING})},
    Step.ABANDON: {S.SENDING: frozenset({S.IN_DOUBT})},
    Step.RECORD: {
        S.SENDING: frozenset({S.SENT, S.SENT_FINAL, S.QUEUED, S.UNDELIVERED, S.FAILED, S.IN_DOUBT}),
        S.IN_DOUBT: frozenset({S.SENT, S.SENT_FINAL, S.QUEUED, S.UNDELIVERED, S.FAILED}),
    },
    Step.RECEIPT: {
        S.QUEUED: frozenset({S.DELIVERED}),
        S.SENDING: frozenset({S.DELIVERED, S.UNDELIVERED}),
        S.SENT: frozenset({S.DELIVERED, S.UNDELIVERED}),
        S.IN_DOUBT: frozenset({S.DELIVERED, S.UNDELIVERED}),
        S.UNDELIVERED: frozenset({S.DELIVERED}),
        S.SENT_FINAL: frozenset({S.DELIVERED, S.FAILED}),
        S.UNCONFIRMED: frozenset({S.DELIVERED, S.FAILED}),
        S.FAILED: frozenset({S.DELIVERED}),
        S.DEAD: frozenset({S.DELIVERED}),
    },
    Step.SETTLE: {
        S.QUEUED: frozenset({S.QUEUED, S.DEAD, S.EXPIRED, S.UNCONFIRMED}),
        S.SENT: frozenset({S.UNCONFIRMED, S.QUEUED}),
        S.IN_DOUBT: frozenset({S.QUEUED, S.UNCONFIRMED, S.DEAD}),
        S.UNDELIVERED: frozenset({S.QUEUED, S.DEAD}),
    },
    Step.SUPPRESS: {S.QUEUED: frozenset({S.SUPPRESSED, S.UNCONFIRMED})},
    Step.DIVERT: {S.QUEUED: frozenset({S.QUEUED})},
    Step.CANCEL: {S.QUEUED: frozenset({S.CANCELLED, S.UNCONFIRMED})},
    Step.RETRY: {S.DEAD: frozenset({S.QUEUED})},
    Step.DISCARD: {S.DEAD: frozenset({S.FAILED})},
}

_OUTSIDE = {S.SENT_FINAL: "SENT"}

# From least to most advanced: a channel shows its least advanced delivery while anything is open.
_ADVANCE = (S.QUEUED, S.UNDELIVERED, S.SENDING, S.IN_DOUBT, S.SENT)


def outside(status: Status) -> str:
    """The status as users see it."""
    return _OUTSIDE.get(status, status.upper())


def channel_status(counts: Mapping[Status, int]) -> str:
    """What one channel of a notification shows: its least advanced delivery, or PARTIAL_FAILURE at a mixed end."""
    present = {status for status, n in counts.items() if n}
    for status in _ADVANCE:
        if status in present:
            return outside(status)
    names = {outside(status) for status in present}
    if len(names) == 1:
        return names.pop()
    well = present & WELL_ENDED
    if not well:
        return "FAILED"
    if well != present:
        return "PARTIAL_FAILURE"
    for status in (S.UNCONFIRMED, S.SENT_FINAL):
        if status in present:
            return outside(status)
    return outside(S.DELIVERED)


def overall_status(counts: Mapping[Status, int], *, scheduled: bool) -> str:
    """The status of a whole notification from how many of its deliveries are in which state.

    `scheduled` says that its `send_at` lies in the future.
    """
    present = {status for status, n in counts.items() if n}
    if present & OPEN:
        untouched = present <= {S.QUEUED, S.SUPPRESSED}
        if untouched:
            return "SCHEDULED" if scheduled else "ENQUEUED"
        return "PROCESSING"
    if present == {S.CANCELLED}:
        return "CANCELLED"
    if present <= WELL_ENDED:
        return "COMPLETED"
    return "PARTIAL_FAILURE" if present & WELL_ENDED else "FAILED"

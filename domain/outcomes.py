"""What a vendor's answer to one send means: exactly one of seven classes, whatever its wire format says."""

from dataclasses import dataclass
from enum import StrEnum

from domain.suppressions import Reason

SHORTEST_REST, LONGEST_REST = 1.0, 3600.0  # seconds: for a vendor that asks for rest and names no time, or days


class Outcome(StrEnum):
    """The classes of answers. A provider's table maps every code of its vendor to one of them."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"  # this message, forever
    RETRYABLE = "retryable"  # definitely not taken; may work later
    THROTTLED = "throttled"  # definitely not taken; come back at the time given. Costs no try
    VENDOR_DOWN = "vendor_down"  # definitely not taken: refused connection, bad credentials, account closed
    IN_DOUBT = "in_doubt"  # the request left and no definite answer came
    RELEASED = "released"  # claimed by us but never called. Costs no try


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one send."""

    outcome: Outcome
    message_id: str | None = None  # the vendor's own id, if it gave one
    reason: str | None = None  # a short code of the vendor or of ours; never an address or content
    retry_after: float | None = None  # seconds, with `throttled` as the vendor said, with `released` as we say
    suppress: Reason | None = None  # with `rejected`: the address gets nothing more

    @property
    def rest(self) -> float:
        """Seconds the vendor is left alone, if `throttled`, and the message waits: 0 for most other answers."""
        if self.outcome is Outcome.RELEASED:
            return self.retry_after or 0.0
        if self.outcome is not Outcome.THROTTLED:
            return 0.0
        return SHORTEST_REST if self.retry_after is None else min(max(self.retry_after, 0.0), LONGEST_REST)


def accepted(message_id: str | None = None, reason: str | None = None) -> Answer:
    """The vendor took it. `reason`: how we know, if not by its answer."""
    return Answer(Outcome.ACCEPTED, message_id=message_id, reason=reason)


def in_doubt(reason: str) -> Answer:
    """The request left, and nobody knows what became of it."""
    return Answer(Outcome.IN_DOUBT, reason=reason)


def released(reason: str, rest: float = 0.0) -> Answer:
    """It was claimed and never called; it is due again after `rest` seconds."""
    return Answer(Outcome.RELEASED, reason=reason, retry_after=rest)


def vendor_down(reason: str) -> Answer:
    """The vendor cannot be reached, or does not let us in."""
    return Answer(Outcome.VENDOR_DOWN, reason=reason)

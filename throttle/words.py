"""What a gate says: an admission, a change of a breaker, a view of a provider."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.operators import Operator, Switch

RATE = "rate"  # the reason of an admission that the provider's pace cuts short


class Breaker(StrEnum):
    """closed: traffic flows. open: the vendor fails, single probes go. half_open: its last probes came through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Admission:
    """How many messages may go to a provider now."""

    granted: int
    wait: float | None  # seconds until asking again makes sense; None: all was granted, or nobody knows (disabled)
    state: Breaker
    probe: bool = False  # the one message granted is a probe: report what came of it with `probe=True`
    reason: str | None = None  # why not all was granted

    @property
    def paced(self) -> bool:
        """Whether it is the provider's pace that holds the rest up: more may go after `wait`."""
        return self.reason == RATE


@dataclass(frozen=True, slots=True)
class Change:
    """A breaker changed its state. Of all workers exactly one is told; `provider` and `at` make it unique."""

    provider: str
    before: Breaker
    after: Breaker
    reason: str
    at: datetime
    local: bool = False  # seen by this process alone, while Redis was gone


@dataclass(frozen=True, slots=True)
class View:
    """How a provider stands. Times are seconds from now."""

    provider: str
    operator: Operator
    breaker: Breaker
    reason: str | None  # of the breaker's last change
    since: datetime | None  # of the breaker's last change; None: it never had one
    probe_in: float = 0.0  # until the next probe may go, while not closed
    paused_for: float = 0.0  # what is left of the pause the vendor asked for
    local: bool = False  # what this process alone knows: Redis is gone

    @property
    def takes_new(self) -> bool:
        """Whether new messages should be routed to it."""
        return self.operator.switch is Switch.ENABLED and self.breaker is Breaker.CLOSED and not self.paused_for

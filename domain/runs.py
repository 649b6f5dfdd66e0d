"""What a run is given and told: ids and counts only, never an address or a word of a message."""

from dataclasses import dataclass, field

from domain.priorities import Priority

WORKFLOW = "Batch"
SETTLE = "settle"
DELIVER = "deliver"
RETRY = "retry_dead"
DISCARD = "discard_dead"

PARKED_FOR = (
    24 * 3600.0
)  # seconds a run waits with nothing but dead letters; after that they stay retryable in the ledger
POLL_FIRST, POLL_MOST = 30.0, 300.0  # seconds: how long a run trusts that a signal would have come


def run_id(batch: str) -> str:
    """The workflow id of a batch."""
    return f"batch/{batch}"


@dataclass(frozen=True, slots=True)
class Part:
    """One channel of a batch. `provider`: whom its rows are queued for at the start, None if that has to be asked."""

    channel: str
    size: int
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """The only argument of a run."""

    batch: str
    priority: Priority
    parts: list[Part]
    tenant: str | None = None  # when all of it is of one tenant


@dataclass(frozen=True, slots=True)
class Look:
    """Ask `settle` how a channel of a batch stands."""

    batch: str
    channel: str
    busy: list[str] = field(default_factory=list[str])  # providers this run is delivering through right now


@dataclass(frozen=True, slots=True)
class Delivery:
    """Ask `deliver` to send what is due through one provider."""

    batch: str
    channel: str
    provider: str
    priority: Priority


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Ask for dead letters to be tried again or given up. No `seqs`: all of the channel, no `channel`: of the batch."""

    batch: str
    channel: str | None = None
    seqs: list[int] | None = None
    provider: str | None = None  # retry through this one; None: the first of the route
    by: str = "signal"


@dataclass(frozen=True, slots=True)
class State:
    """How a channel of a batch stands. Seconds are from the reading on, by the database's clock."""

    due: list[str]  # providers that rows are due for, or that left rows in `sending` too long ago
    wait: float | None  # seconds until something is due by itself; None: nothing is
    counts: dict[str, int]  # rows by status
    open: int
    dead: int

    @property
    def finished(self) -> bool:
        """Nothing left to do or to decide."""
        return not self.open and not self.dead

"""What a run is given and told: ids and counts only, never an address or a word of a message."""

from dataclasses import dataclass

from domain.priorities import Priority

WORKFLOW = "Batch"
MAINTENANCE_WORKFLOW = "Maintenance"
SETTLE = "settle"
DELIVER = "deliver"
RETRY = "retry_dead"
DISCARD = "discard_dead"
SWEEP = "sweep"
TIDY = "tidy"

SHARED = "shared"  # the owner of a batch that several tenants share

PARKED_FOR = (
    24 * 3600.0
)  # seconds a run waits with nothing but dead letters; after that they stay retryable in the ledger
POLL_FIRST, POLL_MOST = 30.0, 300.0  # seconds: how long a run trusts that a signal would have come
HOLD_FIRST, HOLD_MOST = 1.0, 60.0  # seconds between two questions whether a provider takes messages again


def silence_of(priority: Priority) -> float:
    """Seconds without a sign of life after which a run gives an execution of `deliver` to another worker.

    A busy worker must not be taken for a dead one: what it was sending would be in doubt.
    """
    return 10.0 if priority is Priority.HIGH else 20.0


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
    owner: str = SHARED  # whose it is where tenants take turns,
    weight: int = 1  # and its share there


@dataclass(frozen=True, slots=True)
class Look:
    """Ask `settle` how a channel of a batch stands."""

    batch: str
    channel: str
    priority: Priority = Priority.NORMAL


@dataclass(frozen=True, slots=True)
class Delivery:
    """Ask `deliver` to send what is due through one provider."""

    batch: str
    channel: str
    provider: str
    priority: Priority
    owner: str = SHARED  # whose it is, where tenants take turns


@dataclass(frozen=True, slots=True)
class Which:
    """Which dead letters of a run are meant, as an operator says it in a signal. Nothing said: all of them."""

    channel: str | None = None
    seqs: list[int] | None = None
    provider: str | None = None  # retry through this one; None: the first of the route


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator's signal asks of one channel of a batch."""

    batch: str
    channel: str
    seqs: list[int] | None
    provider: str | None


@dataclass(frozen=True, slots=True)
class State:
    """How a channel of a batch stands. Seconds are from the reading on, by the database's clock."""

    due: list[str]  # providers that rows are due for, or that left rows in `sending` too long ago
    wait: float | None  # seconds until something is due by itself; None: nothing is
    counts: dict[str, int]  # rows by status
    open: int
    dead: int
    held: float | None = None  # rows are due whose provider takes nothing now: seconds until asking it makes sense

    @property
    def finished(self) -> bool:
        """Nothing left to do or to decide."""
        return not self.open and not self.dead

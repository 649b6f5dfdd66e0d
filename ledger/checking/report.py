"""What must hold of any ledger, and what a check found of it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_SHOWN = 5  # offenders kept of each invariant


class Invariant(StrEnum):
    """What must hold. The first part needs the ledger alone, the last what vendors and callers say."""

    COMPLETE = "complete"
    PATH = "path"
    FENCE = "fence"
    DOUBTS = "doubts"
    OPEN = "open"
    STUCK = "stuck"
    AWAITING = "awaiting"
    LETTERS = "letters"
    ENDS = "ends"
    EXPIRY = "expiry"
    ACCEPTED = "accepted"
    CANCELLED = "cancelled"
    TAKEN = "taken"
    ONCE = "once"
    NEVER = "never"
    CLAIMED = "claimed"
    LATE = "late"


I = Invariant  # noqa: E741

TITLES: Mapping[Invariant, str] = {
    I.COMPLETE: "a notification has all its deliveries, a batch all of its own, and nothing belongs to nobody",
    I.PATH: "events form a legal path that ends where the row is",
    I.FENCE: "attempt and send key grow by one with each claim, and by nothing else",
    I.DOUBTS: "doubts and possible duplicates are what the events say",
    I.OPEN: "an open delivery will be looked at: its channel is not done, and its next look is near",
    I.STUCK: "no run and no delivery is long overdue",
    I.AWAITING: "awaiting is the number of deliveries in sent or in_doubt",
    I.LETTERS: "there is a dead letter for each dead delivery, and for no other",
    I.ENDS: "the end of a notification agrees with its deliveries",
    I.EXPIRY: "nothing was claimed after it had expired",
    I.ACCEPTED: "every accepted id has its notification",
    I.CANCELLED: "what was answered to be cancelled is cancelled",
    I.TAKEN: "what a vendor said yes to, or is reported delivered, a vendor has taken",
    I.ONCE: "nothing was taken more often than the counted possible duplicates allow",
    I.NEVER: "what is cancelled, expired or suppressed was never taken",
    I.CLAIMED: "nothing was taken that had not been claimed before",
    I.LATE: "nothing was taken after it had expired, but for a call already under way",
}

Finding = tuple[Invariant, str | None]
"""One thing looked at, and in a few words what is wrong with it; None: nothing."""


@dataclass(frozen=True, slots=True)
class Offender:
    """Who broke an invariant, by id, and how."""

    id: str
    why: str


@dataclass(slots=True)
class Tally:
    """How often an invariant was looked at and found broken, with the first offenders."""

    checked: int = 0
    wrong: int = 0
    first: list[Offender] = field(default_factory=list[Offender])


@dataclass(slots=True)
class Report:
    """What a check found. `ended`: deliveries by state; `untaken`: those of them that no vendor has taken."""

    tallies: dict[Invariant, Tally] = field(default_factory=dict[Invariant, Tally])
    ended: Counter[str] = field(default_factory=Counter[str])
    untaken: Counter[str] = field(default_factory=Counter[str])
    taken: int = 0  # messages in the vendors' log
    extra: int = 0  # of them, second and further ones of the same delivery

    @property
    def clean(self) -> bool:
        """Nothing is wrong."""
        return not any(tally.wrong for tally in self.tallies.values())

    def wrong(self, *invariants: Invariant) -> int:
        """How often these were found broken."""
        return sum(self.tallies[one].wrong for one in invariants if one in self.tallies)

    def note(self, who: object, findings: Iterable[Finding]) -> None:
        """Count what was found of one row."""
        for invariant, why in findings:
            tally = self.tallies.setdefault(invariant, Tally())
            tally.checked += 1
            if why is None:
                continue
            tally.wrong += 1
            if len(tally.first) < _SHOWN:
                tally.first.append(Offender(str(who), why))

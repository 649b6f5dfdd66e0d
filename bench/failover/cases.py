"""The cases: how a vendor can be dead, how much traffic there is, and how long each phase of a case lasts."""

from dataclasses import dataclass
from enum import StrEnum

VENDOR = "twilio"  # the one that dies
OTHER = "sns"

HUSH = 5.0  # seconds without a receipt after which a message is called silent, at the least
QUIET = 10.0  # seconds of traffic before the fault
WATCHED = 20.0  # seconds of the fault in which the dead vendor must have lost its traffic
LOSES_WITHIN = 10.0  # seconds of the fault that it may take, for a silent vendor after HUSH
BACK_WITHIN = 60.0  # seconds

POLICY = {
    "route": [VENDOR, OTHER],
    "hush": HUSH,
    "window": 20,  # a message of the silent vendor ends `unconfirmed` after this, while we watch
    "doubt": 10,  # and one that hung goes on after this; the policy as it comes waits for up to 5 minutes
}
"""The channel `sms` in these cases. What decides about the dead vendor is left as it comes."""


class Kind(StrEnum):
    """How a vendor is dead."""

    REFUSING = "refusing"  # nobody listens where it was
    HANGING = "hanging"  # takes the connection and never answers
    FAILING = "failing"  # answers 500
    SILENT = "silent"  # accepts, and delivers nothing


RATES = (1, 20, 500)  # messages a second


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of fault at one rate."""

    kind: Kind
    rate: int

    @property
    def name(self) -> str:
        """As in `CASE=hanging-20`."""
        return f"{self.kind}-{self.rate}"

    @property
    def noticed_from(self) -> float:
        """Seconds of the fault before which nobody can know of it."""
        return HUSH if self.kind is Kind.SILENT else 0.0

    @property
    def moved_from(self) -> float:
        """Seconds of the fault from which the vendor's share is held against its bound."""
        return self.noticed_from + LOSES_WITHIN

    @property
    def fault(self) -> float:
        """Seconds the vendor is dead."""
        return self.moved_from + WATCHED


CASES = tuple(Case(kind, rate) for rate in RATES for kind in Kind)

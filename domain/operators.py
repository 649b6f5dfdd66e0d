"""What an operator can say about a provider while everything runs."""

from dataclasses import dataclass
from enum import StrEnum


class Switch(StrEnum):
    """What an operator wants of a provider."""

    ENABLED = "enabled"
    DRAINING = "draining"  # takes no new messages; what is queued for it still goes
    DISABLED = "disabled"  # nothing goes


@dataclass(frozen=True, slots=True)
class Operator:
    """What operators want of one provider: all their words together."""

    switch: Switch = Switch.ENABLED
    reason: str = ""  # of the switch
    weight: float | None = None  # its part of new messages against the others of the route; None: by order


@dataclass(frozen=True, slots=True)
class Word:
    """One thing an operator says about a provider; what is not said stays as it is."""

    reason: str
    switch: Switch | None = None
    weight: float | None = None
    by_order: bool = False  # takes a weight away

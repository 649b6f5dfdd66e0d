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
    """An operator's word on one provider."""

    switch: Switch = Switch.ENABLED
    reason: str = ""
    weight: float | None = None  # its part of new messages against the others of the route; None: by order

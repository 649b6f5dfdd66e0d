"""What a vendor reports about a send after it took it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.ids import DeliveryId, SendKey


class Report(StrEnum):
    """What a report can say. Others (opened, clicked, processed) change nothing and are not kept."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One report. It names its send by our key, by the delivery, or by the vendor's own message id."""

    provider: str
    event_id: str  # unique per provider; a second one with the same id changes nothing
    report: Report
    occurred_at: datetime
    key: SendKey | None = None
    delivery: DeliveryId | None = None  # without a key: the current send is meant
    message_id: str | None = None
    reason: str | None = None

"""What a vendor reports about a send after it took it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.ids import DeliveryId, SendKey
from domain.suppressions import Reason


class Report(StrEnum):
    """What a report can say. Others (opened, clicked, processed) are not kept."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    OPTED_OUT = "opted_out"  # the reader complained or unsubscribed: the delivery stays as it is


@dataclass(frozen=True, slots=True)
class Receipt:
    """One report. It names its send by our key, the delivery, the vendor's message id, or notification and channel."""

    provider: str
    event_id: str  # unique per provider; a second one with the same id changes nothing
    report: Report
    occurred_at: datetime
    key: SendKey | None = None
    delivery: DeliveryId | None = None  # without a key: the current send is meant
    message_id: str | None = None
    reason: str | None = None
    suppress: Reason | None = None  # set: the address gets nothing more
    notification: UUID | None = None  # with `channel`: every delivery of the notification on it is meant
    channel: str | None = None

"""The shape of `GET /status/{notification_id}`: where a notification stands, as callers see it."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.cursors import MOST_CURSOR
from api.paging import PageOut, page_of
from ledger.notifications import Delivery, Event, Standing


class StatusQuery(BaseModel):
    """What may be said beside the id."""

    cursor: str | None = Field(default=None, max_length=MOST_CURSOR, description="`page.next` of the page before")
    expand: Literal["events"] | None = Field(default=None, description="each delivery's history")


class StepOut(BaseModel):
    """One line of a delivery's history. `from` equal to `to`: news that came too late to change anything."""

    at: datetime
    step: str
    from_: str | None = Field(alias="from")
    to: str
    provider: str | None
    attempt: int
    message_id: str | None = Field(description="the vendor's")
    reason: str | None


class DeliveryOut(BaseModel):
    """One message to one recipient by one channel."""

    id: str
    recipient_id: str
    channel: str
    status: str
    provider: str | None
    attempts: int
    possible_duplicate: bool
    reason: str | None
    updated_at: datetime
    events: list[StepOut] | None = Field(default=None, description="with `expand=events`: the last 100, oldest first")


class StatusOut(BaseModel):
    """A notification with its deliveries, at most 100 a page; the counts are over all of them."""

    model_config = {
        "json_schema_extra": {
            "example": {
                "notification_id": "01890a5d-ac96-774b-bcce-b302099a8057",
                "status": "COMPLETED",
                "channel_statuses": {"email": "DELIVERED"},
                "workflow_ids": ["batch/01890a5d-ac97-7b3c-8a55-2c1f0e7d9b11"],
                "priority": "normal",
                "metadata": None,
                "tags": ["campaign:spring"],
                "created_at": "2026-03-01T09:00:00Z",
                "updated_at": "2026-03-01T09:00:02Z",
                "send_at": None,
                "expires_at": None,
                "counts": {"DELIVERED": 1},
                "deliveries": [
                    {
                        "id": "01890a5d-ac97-7b3c-8a55-2c1f0e7d9b11.0",
                        "recipient_id": "user123",
                        "channel": "email",
                        "status": "DELIVERED",
                        "provider": "sendgrid",
                        "attempts": 1,
                        "possible_duplicate": False,
                        "reason": None,
                        "updated_at": "2026-03-01T09:00:02Z",
                    }
                ],
                "page": {"next": None, "has_more": False},
            }
        }
    }

    notification_id: UUID
    status: str
    channel_statuses: dict[str, str]
    workflow_ids: list[str]
    priority: str
    metadata: dict[str, Any] | None
    tags: list[str]
    created_at: datetime
    updated_at: datetime
    send_at: datetime | None
    expires_at: datetime | None
    counts: dict[str, int]
    deliveries: list[DeliveryOut]
    page: PageOut


def shown(found: Standing, following: str | None) -> dict[str, Any]:
    """A StatusOut as it is written: without the models, which would cost a read more than all else."""
    overview = found.overview
    return {
        "notification_id": str(overview.id),
        "status": overview.status,
        "channel_statuses": overview.channel_statuses,
        "workflow_ids": found.workflow_ids,
        "priority": overview.priority,
        "metadata": overview.metadata,
        "tags": overview.tags,
        "created_at": overview.created_at,
        "updated_at": found.updated_at,
        "send_at": overview.send_at,
        "expires_at": overview.expires_at,
        "counts": overview.counts,
        "deliveries": [_delivery(delivery) for delivery in found.deliveries],
        "page": page_of(following).model_dump(),
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    written: dict[str, Any] = {
        "id": str(delivery.id),
        "recipient_id": delivery.recipient,
        "channel": delivery.channel,
        "status": delivery.status,
        "provider": delivery.provider,
        "attempts": delivery.attempts,
        "possible_duplicate": delivery.possible_duplicate,
        "reason": delivery.reason,
        "updated_at": delivery.updated_at,
    }
    if delivery.events is not None:
        written["events"] = [_event(event) for event in delivery.events]
    return written


def _event(event: Event) -> dict[str, Any]:
    return {
        "at": event.at,
        "step": event.step,
        "from": event.old,
        "to": event.new,
        "provider": event.provider,
        "attempt": event.attempt,
        "message_id": event.message_id,
        "reason": event.reason,
    }

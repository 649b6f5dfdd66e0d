"""`GET /status/{notification_id}`: where a notification stands, as the ledger has it at this moment."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.access import HasParts, Reader
from api.cursors import cursors
from api.documented import problems
from api.inputs import Cursor, NotificationId, notification_id
from api.paging import PageOut, page_of
from api.problems import Problem
from domain.ids import DeliveryId
from ledger.notifications import Delivery, Standing, status

router = APIRouter(tags=["notifications"])

_PAGE = 100


class EventOut(BaseModel):
    """One line of a delivery's history. `from` equal to `to`: news that came too late to change anything."""

    at: datetime
    step: str
    from_: str | None = Field(serialization_alias="from")
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
    events: list[EventOut] | None = Field(default=None, description="with `expand=events`: the last 100, oldest first")


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


@router.get(
    "/status/{id}",
    operation_id="getStatus",
    response_model_exclude_unset=True,
    responses=problems(401, 403, 404, 422, 503),
)
async def get_status(
    parts: HasParts,
    tenant: Reader,
    id: NotificationId,
    cursor: Cursor = None,
    expand: Annotated[Literal["events"] | None, Query(description="each delivery's history")] = None,
) -> StatusOut:
    """Overall and per-channel status of a notification, with its deliveries."""
    named = notification_id(id)
    known = cursors(parts, "deliveries", tenant, {"notification": named})
    found = await status(
        parts.reading(tenant),
        tenant,
        named,
        limit=_PAGE,
        after=known.place(cursor, DeliveryId.parse),
        events=expand == "events",
    )
    if found is None:
        raise Problem("not_found", "There is no such notification.")
    return _shown(found, known.to(found.following) if found.following else None)


def _shown(found: Standing, following: str | None) -> StatusOut:
    overview = found.overview
    return StatusOut(
        notification_id=overview.id,
        status=overview.status,
        channel_statuses=dict(overview.channel_statuses),
        workflow_ids=list(found.workflow_ids),
        priority=overview.priority,
        metadata=dict(overview.metadata) if overview.metadata is not None else None,
        tags=list(overview.tags),
        created_at=overview.created_at,
        updated_at=found.updated_at,
        send_at=overview.send_at,
        expires_at=overview.expires_at,
        counts=dict(overview.counts),
        deliveries=[_delivery(delivery) for delivery in found.deliveries],
        page=page_of(following),
    )


def _delivery(delivery: Delivery) -> DeliveryOut:
    shown = DeliveryOut(
        id=str(delivery.id),
        recipient_id=delivery.recipient,
        channel=delivery.channel,
        status=delivery.status,
        provider=delivery.provider,
        attempts=delivery.attempts,
        possible_duplicate=delivery.possible_duplicate,
        reason=delivery.reason,
        updated_at=delivery.updated_at,
    )
    if delivery.events is not None:
        shown.events = [
            EventOut(
                at=event.at,
                step=event.step,
                from_=event.old,
                to=event.new,
                provider=event.provider,
                attempt=event.attempt,
                message_id=event.message_id,
                reason=event.reason,
            )
            for event in delivery.events
        ]
    return shown

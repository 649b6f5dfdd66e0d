"""`GET /notifications`: a tenant's notifications, newest first."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.access import HasParts, Reader
from api.cursors import cursors
from api.documented import problems
from api.inputs import Moment, Name, Text
from api.paging import ListQuery, PageOut, page_of
from domain.priorities import Priority
from ledger.listing import Filters, listing
from ledger.notifications import Overview

router = APIRouter(tags=["notifications"])

Overall = Literal["SCHEDULED", "ENQUEUED", "PROCESSING", "COMPLETED", "PARTIAL_FAILURE", "FAILED", "CANCELLED"]


class NotificationsQuery(ListQuery):
    """What is looked for; what is not said is no condition."""

    channel: Name | None = None
    status: Overall | None = None
    recipient: Text | None = Field(default=None, description="a recipient's id")
    priority: Priority | None = None
    since: Moment | None = Field(default=None, validation_alias="from", description="created at or after")
    until: Moment | None = Field(default=None, validation_alias="to", description="created before")


class NotificationOut(BaseModel):
    """One notification, without its deliveries."""

    notification_id: UUID
    status: str
    channel_statuses: dict[str, str]
    priority: str
    metadata: dict[str, Any] | None
    created_at: datetime
    send_at: datetime | None
    expires_at: datetime | None
    counts: dict[str, int]


class NotificationsOut(BaseModel):
    """A page of notifications."""

    data: list[NotificationOut]
    page: PageOut


@router.get("/notifications", operation_id="listNotifications", responses=problems(401, 403, 422, 503))
async def list_notifications(
    parts: HasParts, tenant: Reader, query: Annotated[NotificationsQuery, Query()]
) -> NotificationsOut:
    """The caller's notifications, newest first. A rare find may take several pages, some of them empty."""
    filters = Filters(query.channel, query.status, query.recipient, query.priority, query.since, query.until)
    known = cursors(parts, "notifications", tenant, query.model_dump())
    after = known.place(query.cursor, UUID)
    page = await listing(parts.reading(tenant), tenant, filters, query.limit, after)
    following = known.to(page.following) if page.following else None
    return NotificationsOut(data=[_shown(one) for one in page.found], page=page_of(following))


def _shown(one: Overview) -> NotificationOut:
    return NotificationOut(
        notification_id=one.id,
        status=one.status,
        channel_statuses=dict(one.channel_statuses),
        priority=one.priority,
        metadata=dict(one.metadata) if one.metadata is not None else None,
        created_at=one.created_at,
        send_at=one.send_at,
        expires_at=one.expires_at,
        counts=dict(one.counts),
    )

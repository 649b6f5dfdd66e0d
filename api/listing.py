"""`GET /notifications`: a tenant's notifications, newest first."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, Field

from api.access import HasParts, Reader
from api.cursors import cursors
from api.documented import problems
from api.inputs import Moment, Name, Text
from api.paging import ListQuery, PageOut, page_of
from api.problems import invalid
from api.requests import Fault
from domain import search
from domain.priorities import Priority
from domain.search import MOST_TAGS, TAG
from ledger import searching
from ledger.database import Database
from ledger.listing import Filters, listing
from ledger.notifications import Overview

router = APIRouter(tags=["notifications"])

Overall = Literal["SCHEDULED", "ENQUEUED", "PROCESSING", "COMPLETED", "PARTIAL_FAILURE", "FAILED", "CANCELLED"]


def _sayable(read: Callable[[str], object]) -> AfterValidator:
    """Text that `read` can read."""

    def checked(text: str) -> str:
        read(text)
        return text

    return AfterValidator(checked)


Tag = Annotated[str, Field(pattern=TAG)]
Metadata = Annotated[Text, _sayable(search.metadata_prefix)]


class NotificationsQuery(ListQuery):
    """What is looked for; what is not said is no condition. All that is said has to hold."""

    channel: Name | None = None
    status: Overall | None = None
    recipient: Text | None = Field(default=None, description="a recipient's id")
    priority: Priority | None = None
    since: Moment | None = Field(default=None, validation_alias="from", description="created at or after")
    until: Moment | None = Field(default=None, validation_alias="to", description="created before")
    tag: list[Tag] = Field(default=[], max_length=MOST_TAGS, description="with this tag; with all of several")
    tag_prefix: Tag | None = Field(default=None, description="with a tag that begins so", examples=["campaign:"])
    metadata: list[Metadata] = Field(
        default=[],
        max_length=MOST_TAGS,
        description="`key:beginning` of a text in the metadata; only for tenants that keep text",
        examples=[["order:A-17"]],
    )
    q: Annotated[Text, _sayable(search.words)] | None = Field(
        default=None,
        description="words of subject, title and text, `begin*`: beginnings; only for tenants that keep text",
        examples=["invoice 4711*"],
    )

    def filters(self) -> Filters:
        """The same for the ledger."""
        terms = [search.tag(name) for name in self.tag]
        terms += [search.tag_prefix(self.tag_prefix)] if self.tag_prefix else []
        terms += [search.metadata_prefix(text) for text in self.metadata]
        terms += search.words(self.q) if self.q else ()
        return Filters(
            channel=self.channel,
            status=self.status,
            recipient=self.recipient,
            priority=self.priority,
            since=self.since,
            until=self.until,
            terms=tuple(dict.fromkeys(terms)),
        )


class NotificationOut(BaseModel):
    """One notification, without its deliveries."""

    notification_id: UUID
    status: str
    channel_statuses: dict[str, str]
    priority: str
    metadata: dict[str, Any] | None
    tags: list[str]
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
    known = cursors(parts, "notifications", tenant, query.model_dump())
    after = known.place(query.cursor, UUID)
    db = parts.reading(tenant)
    await _check_text(db, tenant, query)
    page = await listing(db, tenant, query.filters(), query.limit, after)
    following = known.to(page.following) if page.following else None
    return NotificationsOut(data=[_shown(one) for one in page.found], page=page_of(following))


async def _check_text(db: Database, tenant: str, query: NotificationsQuery) -> None:
    """Raises Problem 422 for a search in what this tenant has not chosen to keep."""
    asked = "q" if query.q else "metadata"
    if (query.q or query.metadata) and not await searching.keeps_text(db, tenant):
        detail = (
            "Only for tenants that keep text searchable: an operator says so by `clarion tenants update --keep-text`."
        )
        raise invalid(Fault(f"/query/{asked}", detail))


def _shown(one: Overview) -> NotificationOut:
    return NotificationOut(
        notification_id=one.id,
        status=one.status,
        channel_statuses=dict(one.channel_statuses),
        priority=one.priority,
        metadata=dict(one.metadata) if one.metadata is not None else None,
        tags=list(one.tags),
        created_at=one.created_at,
        send_at=one.send_at,
        expires_at=one.expires_at,
        counts=dict(one.counts),
    )

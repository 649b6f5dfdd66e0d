"""`GET /audit`: administrative acts, newest first. A tenant's admins see its own."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.access import HasParts, KeyWatcher
from api.cursors import cursors
from api.documented import problems
from api.inputs import Moment, Text
from api.paging import ListQuery, PageOut, paged
from ledger import audit

router = APIRouter(tags=["audit"], prefix="/audit")


class ActsQuery(ListQuery):
    """Which acts."""

    tenant: Text | None = Field(default=None, description="of this tenant; only operators may ask for others")
    action: Text | None = Field(default=None, examples=["key.revoke"])
    since: Moment | None = Field(default=None, validation_alias="from", description="at or after")


class ActOut(BaseModel):
    """One act. `tenant` is null for what concerns the whole service."""

    id: int
    at: datetime
    actor: str = Field(description="`clr_…`: a key; `cli:…`: who ran a command; `dev`: a development call")
    action: str
    subject: str
    tenant: str | None
    detail: dict[str, Any]
    request_id: str | None


class ActsOut(BaseModel):
    """A page of acts."""

    data: list[ActOut]
    page: PageOut


@router.get("", operation_id="listAudit", responses=problems(401, 403, 422, 503))
async def list_acts(parts: HasParts, who: KeyWatcher, query: Annotated[ActsQuery, Query()]) -> ActsOut:
    """Acts, newest first."""
    tenant = who.tenant or query.tenant
    known = cursors(parts, "audit", tenant, query.model_dump(exclude={"tenant"}))
    found = await audit.listed(
        parts.reading(who.tenant),
        query.limit + 1,
        tenant=tenant,
        action=query.action,
        since=query.since,
        before=known.place(query.cursor, int),
    )
    page, foot = paged(found, query.limit, lambda act: known.to(act.id))
    return ActsOut(data=[ActOut(**asdict(act)) for act in page], page=foot)

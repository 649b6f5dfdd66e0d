"""`/tenants`: whose notifications these are. Operators only."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from api.access import HasParts, Operating, RequestId, by
from api.cursors import cursors
from api.documented import problems
from api.inputs import Text
from api.paging import ListQuery, PageOut, paged
from api.problems import Problem, invalid
from api.requests import Fault
from ledger import tenants
from ledger.tenants import Tenant, TenantExists

router = APIRouter(tags=["tenants"], prefix="/tenants")

Id = Annotated[str, Path(examples=["acme"])]


class SendersIn(BaseModel):
    """In whose name its messages are sent; null: the provider's default."""

    model_config = ConfigDict(extra="forbid")

    email_from: Text | None = None
    reply_to: Text | None = None
    sms_from: Text | None = None


class TenantIn(SendersIn):
    """A tenant to be made."""

    id: Annotated[Text, Field(examples=["acme"])]
    name: Annotated[Text | None, Field(description="for people; else the id")] = None


class ChangesIn(SendersIn):
    """What to change; what is not said stays."""

    name: Text = ""
    keep_text: bool = Field(
        default=False, description="keep words of messages and values of metadata in plain text, to be found by"
    )


class SuspendIn(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Text, Field(max_length=200)]


class TenantOut(BaseModel):
    """A tenant, as stored."""

    id: str
    name: str
    email_from: str | None
    reply_to: str | None
    sms_from: str | None
    created_at: datetime | None
    suspended_at: datetime | None
    suspended_reason: str | None
    keep_text: bool


class TenantsOut(BaseModel):
    """A page of tenants, by id."""

    data: list[TenantOut]
    page: PageOut


@router.get("", operation_id="listTenants", responses=problems(401, 403, 422, 503))
async def list_tenants(parts: HasParts, who: Operating, query: Annotated[ListQuery, Query()]) -> TenantsOut:
    """All tenants, by id."""
    known = cursors(parts, "tenants", None, query.model_dump())
    after = known.place(query.cursor, str) or ""
    found = await tenants.listed(parts.db, after=after, most=query.limit + 1)
    page, foot = paged(found, query.limit, lambda tenant: known.to(tenant.id))
    return TenantsOut(data=[_shown(each) for each in page], page=foot)


@router.post("", operation_id="createTenant", status_code=201, responses=problems(401, 403, 409, 413, 422, 503))
async def create_tenant(parts: HasParts, who: Operating, request: RequestId, body: TenantIn) -> TenantOut:
    """Make a tenant; then make keys for it."""
    wanted = Tenant(body.id, body.name or body.id, body.email_from, body.reply_to, body.sms_from)
    try:
        return _shown(await tenants.create(parts.db, wanted, by(who, request)))
    except TenantExists:
        raise Problem("tenant_exists") from None
    except ValueError as error:
        raise invalid(Fault("", str(error))) from None


@router.get("/{id}", operation_id="getTenant", responses=problems(401, 403, 404, 503))
async def get_tenant(parts: HasParts, who: Operating, id: Id) -> TenantOut:
    """One tenant."""
    return _there(await tenants.get(parts.db, sane(id)))


@router.patch("/{id}", operation_id="updateTenant", responses=problems(401, 403, 404, 413, 422, 503))
async def update_tenant(parts: HasParts, who: Operating, request: RequestId, id: Id, body: ChangesIn) -> TenantOut:
    """Change its name or senders, or whether its messages can be searched."""
    try:
        changes = body.model_dump(exclude_unset=True)
        return _there(await tenants.update(parts.db, sane(id), changes, by(who, request)))
    except ValueError as error:
        raise invalid(Fault("", str(error))) from None


@router.post("/{id}/suspend", operation_id="suspendTenant", responses=problems(401, 403, 404, 413, 422, 503))
async def suspend_tenant(parts: HasParts, who: Operating, request: RequestId, id: Id, body: SuspendIn) -> TenantOut:
    """Take nothing more from it, within two seconds. It may still read, and what was accepted still goes out."""
    try:
        return _there(await tenants.suspend(parts.db, sane(id), body.reason, by(who, request)))
    except ValueError as error:
        raise invalid(Fault("", str(error))) from None


@router.post("/{id}/resume", operation_id="resumeTenant", responses=problems(401, 403, 404, 503))
async def resume_tenant(parts: HasParts, who: Operating, request: RequestId, id: Id) -> TenantOut:
    """Take from it again."""
    return _there(await tenants.resume(parts.db, sane(id), by(who, request)))


def sane(id: str) -> str:
    """Raises Problem 404: what no tenant can be called names none."""
    if not (id.isascii() and id.isprintable()):
        raise no_tenant()
    return id


def _there(tenant: Tenant | None) -> TenantOut:
    if tenant is None:
        raise no_tenant()
    return _shown(tenant)


def _shown(tenant: Tenant) -> TenantOut:
    return TenantOut(**asdict(tenant))


def no_tenant() -> Problem:
    """What is said of a tenant that is not there."""
    return Problem("not_found", "There is no such tenant.")

"""`/keys`: the API keys of a tenant, for its admins; and of all, for operators."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from api.access import HasParts, KeyKeeper, KeyWatcher, RequestId, by
from api.documented import problems
from api.inputs import Text
from api.problems import Problem, invalid
from api.requests import Fault
from ledger import keys
from ledger.keys import LONGEST_OVERLAP, OVERLAP, Key, Role

router = APIRouter(tags=["keys"], prefix="/keys")

Prefix = Annotated[str, Path(description="the visible part of a key", examples=["clr_0a1b2c3d4e5f"])]
TenantQuery = Annotated[Text | None, Query(description="of this tenant; only operators may ask for others")]


class KeyIn(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    name: Annotated[Text | None, Field(description="for people", max_length=100)] = None
    tenant: Annotated[Text | None, Field(description="an operator says whose; without one it is an operator's")] = None


class RotateIn(BaseModel):
    """How long the old key goes on."""

    model_config = ConfigDict(extra="forbid")

    overlap_seconds: Annotated[int, Field(ge=0, le=int(LONGEST_OVERLAP.total_seconds()))] = int(OVERLAP.total_seconds())


class KeyOut(BaseModel):
    """What may be shown of a key."""

    prefix: str
    tenant: str | None
    role: Role
    name: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="to the minute")


class NewKeyOut(KeyOut):
    """The key itself is shown this once."""

    key: str


class KeysOut(BaseModel):
    """All keys, oldest first, those no longer in force too."""

    data: list[KeyOut]


@router.get("", operation_id="listKeys", responses=problems(401, 403, 422, 503))
async def list_keys(parts: HasParts, who: KeyWatcher, tenant: TenantQuery = None) -> KeysOut:
    """The keys of the caller's tenant; an operator sees all, or those of one."""
    found = await keys.listed(parts.reading(who.tenant), who.tenant or tenant)
    return KeysOut(data=[_shown(key) for key in found])


@router.post("", operation_id="createKey", status_code=201, responses=problems(401, 403, 413, 422, 503))
async def create_key(parts: HasParts, who: KeyKeeper, request: RequestId, body: KeyIn) -> NewKeyOut:
    """Make a key."""
    if who.tenant and body.tenant not in (None, who.tenant):
        raise invalid(Fault("/tenant", "Only operators make keys of other tenants."))
    try:
        made, text = await keys.create(
            parts.changing(who.tenant), who.tenant or body.tenant, body.role, by(who, request), body.name
        )
    except ValueError as error:
        raise invalid(Fault("", str(error))) from None
    return NewKeyOut(**_shown(made).model_dump(), key=text)


@router.post(
    "/{prefix}/rotate", operation_id="rotateKey", status_code=201, responses=problems(401, 403, 404, 413, 422, 503)
)
async def rotate_key(
    parts: HasParts, who: KeyKeeper, request: RequestId, prefix: Prefix, body: RotateIn | None = None
) -> NewKeyOut:
    """Make a key like this one, which itself ends after the overlap."""
    overlap = timedelta(seconds=(body or RotateIn()).overlap_seconds)
    made = await keys.rotate(
        parts.changing(who.tenant), _sane(prefix), by(who, request), overlap=overlap, tenant=who.tenant
    )
    if made is None:
        raise _none()
    return NewKeyOut(**_shown(made[0]).model_dump(), key=made[1])


@router.delete("/{prefix}", operation_id="revokeKey", status_code=204, responses=problems(401, 403, 404, 503))
async def revoke_key(parts: HasParts, who: KeyWatcher, request: RequestId, prefix: Prefix) -> None:
    """Make a key worthless. Every API process notices within two seconds."""
    if not await keys.revoke(parts.changing(who.tenant), _sane(prefix), by(who, request), who.tenant):
        raise _none()


def _sane(prefix: str) -> str:
    if not (prefix.isascii() and prefix.isprintable()):
        raise _none()
    return prefix


def _shown(key: Key) -> KeyOut:
    return KeyOut(
        prefix=f"clr_{key.prefix}",
        tenant=key.tenant,
        role=Role(key.role),
        name=key.name,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
    )


def _none() -> Problem:
    return Problem("not_found", "No such key is in force.")

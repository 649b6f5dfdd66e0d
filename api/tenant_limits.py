"""`GET, PUT /tenants/{id}/limits`: what a tenant may send. Operators change it; a tenant's admins see their own."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from api.access import HasParts, KeyWatcher, Operating, RequestId, by
from api.documented import problems
from api.problems import invalid
from api.requests import Fault
from api.tenants import Id, no_tenant, sane
from domain.limits import Limits, changed
from ledger import limits

router = APIRouter(tags=["tenants"], prefix="/tenants/{id}/limits")


class LimitsOut(BaseModel):
    """What holds for the tenant, and what of it is its own."""

    limits: Limits
    own: dict[str, Any]


@router.get("", operation_id="getLimits", responses=problems(401, 403, 404, 503))
async def get_limits(parts: HasParts, who: KeyWatcher, id: Id) -> LimitsOut:
    """What the tenant may send."""
    if who.tenant not in (None, id):
        raise no_tenant()
    own = await limits.changes_of(parts.reading(who.tenant), sane(id))
    if own is None:
        raise no_tenant()
    return LimitsOut(limits=changed(Limits(), {**parts.settings.limits, **own}), own=dict(own))


@router.put("", operation_id="putLimits", responses=problems(401, 403, 404, 413, 422, 503))
async def put_limits(parts: HasParts, who: Operating, request: RequestId, id: Id, body: Limits) -> LimitsOut:
    """Replace the tenant's own limits; what is not said is as usual. Every API process obeys within two seconds."""
    own = body.model_dump(mode="json", exclude_unset=True)
    unknown = {name for name in own.get("daily", {}) if name not in parts.channels}
    if unknown:
        detail = f"No channel of this name; there are {', '.join(parts.channels)}."
        raise invalid(Fault(f"/daily/{min(unknown)}", detail))
    if not await limits.put(parts.db, sane(id), own, by(who, request)):
        raise no_tenant()
    return await get_limits(parts, who, id)

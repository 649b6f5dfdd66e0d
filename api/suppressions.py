"""`/suppressions`: the addresses of a tenant that get nothing more, and how to add and lift one."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.access import HasParts, Manager, ManagingKey, Reader, RequestId, Sender, SendingKey, by
from api.cursors import cursors
from api.documented import problems
from api.inputs import Name, plain
from api.paging import ListQuery, PageOut, paged
from api.parts import Parts
from api.paths import REST_ADDRESS
from api.problems import Problem, invalid
from api.requests import Fault
from domain.suppressions import Reason, blind, hint
from ledger import suppressions
from ledger.suppressions import Suppression

router = APIRouter(tags=["suppressions"], prefix="/suppressions")

ChannelName = Annotated[str, Path(examples=["email"])]
Address = Annotated[
    str,
    Path(min_length=1, max_length=4096, examples=["ann@example.com"]),
    AfterValidator(plain),
]


class SuppressionIn(BaseModel):
    """Why; if nothing is said: by hand."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = Reason.MANUAL


class SuppressionOut(BaseModel):
    """An address that gets nothing more. It is stored as a hash only."""

    channel: str
    hint: str | None = Field(description="what a person may recognise the address by, such as `a***@example.com`")
    reason: Reason
    source: str = Field(description="the provider that reported it, or `api`")
    at: datetime


class SuppressionsQuery(ListQuery):
    """What is looked for; what is not said is no condition."""

    channel: Name | None = None
    reason: Reason | None = None


class SuppressionsOut(BaseModel):
    """A page of suppressions."""

    data: list[SuppressionOut]
    page: PageOut


@router.get("", operation_id="listSuppressions", responses=problems(401, 403, 422, 503))
async def list_suppressions(
    parts: HasParts, tenant: Reader, query: Annotated[SuppressionsQuery, Query()]
) -> SuppressionsOut:
    """Addresses that get nothing more, by channel, in an order that stays."""
    known = cursors(parts, "suppressions", tenant, query.model_dump())
    after = known.place(query.cursor, _suppressed) or ("", b"")
    found = await suppressions.listed(
        parts.reading(tenant), tenant, query.limit + 1, channel=query.channel, reason=query.reason, after=after
    )
    page, foot = paged(found, query.limit, lambda each: known.to(each.channel, each.address_hash.hex()))
    return SuppressionsOut(data=[_shown(each) for each in page], page=foot)


@router.get(REST_ADDRESS, operation_id="getSuppression", responses=problems(401, 403, 404, 422, 503))
async def get_suppression(parts: HasParts, tenant: Reader, channel: ChannelName, address: Address) -> SuppressionOut:
    """Whether an address gets nothing more, and why."""
    _, address_hash = _named(parts, tenant, channel, address)
    found = await suppressions.get(parts.reading(tenant), tenant, channel, address_hash)
    if found is None:
        raise _none()
    return _shown(found)


@router.put(
    REST_ADDRESS,
    operation_id="putSuppression",
    responses={201: {"model": SuppressionOut, "description": "new"}, **problems(401, 403, 404, 413, 422, 503)},
)
async def put_suppression(
    *,
    parts: HasParts,
    tenant: Sender,
    who: SendingKey,
    request: RequestId,
    channel: ChannelName,
    address: Address,
    response: Response,
    body: SuppressionIn | None = None,
) -> SuppressionOut:
    """Send nothing more to an address. One that is suppressed already stays as it is."""
    normal, address_hash = _named(parts, tenant, channel, address)
    reason = (body or SuppressionIn()).reason
    found, new = await suppressions.put(
        parts.changing(tenant), tenant, channel, address_hash, shown=hint(normal), reason=reason, by=by(who, request)
    )
    response.status_code = 201 if new else 200
    return _shown(found)


@router.delete(
    REST_ADDRESS,
    operation_id="liftSuppression",
    status_code=204,
    responses=problems(401, 403, 404, 422, 503),
)
async def lift_suppression(
    *, parts: HasParts, tenant: Manager, who: ManagingKey, request: RequestId, channel: ChannelName, address: Address
) -> None:
    """Let an address have messages again. Needs an admin's key: whoever said no must have changed their mind."""
    _, address_hash = _named(parts, tenant, channel, address)
    if not await suppressions.lift(parts.changing(tenant), tenant, channel, address_hash, by(who, request)):
        raise _none()


def _named(parts: Parts, tenant: str, channel: str, address: str) -> tuple[str, bytes]:
    """The address in its normal form, and its hash. Raises Problem 404 for no channel, 422 for no address."""
    if channel not in parts.channels:
        raise Problem("not_found", "There is no such channel.")
    try:
        normal = parts.channels[channel].parse_address(address)
    except ValueError as error:
        fault = Fault("/path/address", str(error))
        raise invalid(fault) from None
    return normal, blind(parts.settings.secret, tenant, channel, normal)


def _suppressed(channel: str, address_hash: str) -> tuple[str, bytes]:
    return channel, bytes.fromhex(address_hash)


def _shown(entry: Suppression) -> SuppressionOut:
    return SuppressionOut(channel=entry.channel, hint=entry.hint, reason=entry.reason, source=entry.source, at=entry.at)


def _none() -> Problem:
    return Problem("not_found", "This address is not suppressed.")

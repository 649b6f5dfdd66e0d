"""`/recipients`: the tenant's address book, one person or many at a time."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from api.access import HasParts, Reader, RequestId, Sender, SendingKey, by
from api.cursors import cursors
from api.documented import FaultOut, problems
from api.errors import faults_of, pointer
from api.inputs import Text, plain
from api.paging import ListQuery, PageOut, paged
from api.paths import REST_ID
from api.problems import Problem, invalid
from api.requests import Fault
from api.waking import wake
from domain.channels import Channels
from ledger import recipients
from ledger.erasing import erase
from ledger.recipients import NotAnAddress, Person

router = APIRouter(tags=["recipients"], prefix="/recipients")

_PLAIN = ("locale", "timezone")
_MOST = 1000  # entries of a bulk
_TURN = 50

Id = Annotated[Text, Path(examples=["user123"])]


class RecipientIn(BaseModel):
    """A person: an address for each channel that can reach them, under the name of the channel's field."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "email": "ann@example.com",
                "phone": "+14155550100",
                "push_token": "fcm-token",
                "locale": "pt-BR",
                "timezone": "America/Sao_Paulo",
            },
        },
    )
    __pydantic_extra__: dict[str, Text | None]  # pyright: ignore[reportIncompatibleVariableOverride]

    email: Text | None = None
    phone: Text | None = None
    push_token: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(plain)] | None = None
    locale: Text | None = None
    timezone: Text | None = None


class RecipientOut(BaseModel):
    """A person, as stored."""

    model_config = ConfigDict(extra="allow")

    id: str
    locale: str | None
    timezone: str | None
    updated_at: datetime | None


class EntryIn(RecipientIn):
    """A person with their id."""

    id: Text


class ResultOut(BaseModel):
    """What came of one entry: 201 for a new person, 200 for a changed one, or 422 and what is wrong."""

    status: int
    id: str | None = None
    code: str | None = None
    errors: list[FaultOut] = []


class BulkOut(BaseModel):
    """One result for each entry, in order."""

    results: list[ResultOut]


class RecipientsQuery(ListQuery):
    """Whom to list."""

    prefix: Text | None = Field(default=None, description="how the id begins")


class RecipientsOut(BaseModel):
    """A page of people, by id."""

    data: list[RecipientOut]
    page: PageOut


# Each entry is looked at by itself, so that a wrong one is a result and not a refusal of all.
Entries = Annotated[
    list[Annotated[Any, WithJsonSchema(EntryIn.model_json_schema())]],
    Field(min_length=1, max_length=_MOST),
]


DryRun = Annotated[bool, Query(description="look at every entry, and store nothing")]


@router.put(
    REST_ID,
    operation_id="putRecipient",
    responses={201: {"model": RecipientOut, "description": "new"}, **problems(401, 403, 413, 422, 503)},
)
async def put_recipient(parts: HasParts, tenant: Sender, id: Id, body: RecipientIn, response: Response) -> RecipientOut:
    """Store a person, in place of what was there."""
    person, faults = _checked(id, body, parts.channels)
    if person is None:
        raise invalid(*faults)
    stored, new = await recipients.put(parts.changing(tenant), tenant, person)
    response.status_code = 201 if new else 200
    return _shown(stored)


@router.post(
    "/bulk",
    operation_id="putRecipients",
    status_code=207,
    responses={207: {"description": "a result for each, in order"}, **problems(401, 403, 413, 422, 503)},
)
async def put_recipients(parts: HasParts, tenant: Sender, body: Entries, dry_run: DryRun = False) -> BulkOut:
    """Store many people, each in place of what was there. What is wrong with one does not hurt the others.

    An id that comes twice is stored as the last of them says.
    """
    found = [await _entry(place, item, parts.channels) for place, item in enumerate(body)]
    good = {person.id: person for person, _ in found if person}
    new = await recipients.put_all(parts.changing(tenant), tenant, list(good.values())) if good and not dry_run else {}
    return BulkOut(results=[_result(person, wrong, new) for person, wrong in found])


@router.get("", operation_id="listRecipients", responses=problems(401, 403, 422, 503))
async def list_recipients(parts: HasParts, tenant: Reader, query: Annotated[RecipientsQuery, Query()]) -> RecipientsOut:
    """People by id."""
    known = cursors(parts, "recipients", tenant, query.model_dump())
    after = known.place(query.cursor, str) or ""
    found = await recipients.listed(
        parts.reading(tenant), tenant, query.limit + 1, prefix=query.prefix or "", after=after
    )
    page, foot = paged(found, query.limit, lambda person: known.to(person.id))
    return RecipientsOut(data=[_shown(person) for person in page], page=foot)


@router.get(REST_ID, operation_id="getRecipient", responses=problems(401, 403, 404, 422, 503))
async def get_recipient(parts: HasParts, tenant: Reader, id: Id) -> RecipientOut:
    """One person."""
    found = await recipients.get(parts.reading(tenant), tenant, id)
    if found is None:
        raise Problem("not_found", "There is no such recipient.")
    return _shown(found)


@router.delete(REST_ID, operation_id="deleteRecipient", status_code=204, responses=problems(401, 403, 404, 422, 503))
async def delete_recipient(parts: HasParts, tenant: Sender, who: SendingKey, request: RequestId, id: Id) -> None:
    """Erase a person: from the book, and from every notification. Only the counts stay; what waits is cancelled."""
    secret = parts.settings.secret
    fields = [(channel.name, channel.address) for channel in parts.channels.values()]
    done = await erase(parts.changing(tenant), tenant, id, secret=secret, fields=fields, by=by(who, request))
    if done is None:
        raise Problem("not_found", "There is no such recipient.")
    await wake(parts, done.wake)


async def _entry(place: int, item: Any, channels: Channels) -> tuple[Person | None, ResultOut | None]:
    """A person, or what is wrong with the item."""
    if place % _TURN == _TURN - 1:
        await asyncio.sleep(0)  # to look at a thousand takes a tenth of a second: others get their turn
    try:
        entry = EntryIn.model_validate(item)
    except ValidationError as error:
        return None, _refused(item.get("id") if isinstance(item, dict) else None, faults_of(error))
    person, faults = _checked(entry.id, entry, channels)
    return person, None if person else _refused(entry.id, faults)


def _checked(id: str, body: RecipientIn, channels: Channels) -> tuple[Person | None, tuple[Fault, ...]]:
    given = body.model_dump(exclude_none=True, exclude={"id", *_PLAIN})
    try:
        return recipients.checked(Person(id, given, body.locale, body.timezone), channels), ()
    except NotAnAddress as error:
        return None, (Fault(pointer((error.field,)), str(error)),)


def _refused(id: Any, faults: Sequence[Fault]) -> ResultOut:
    named = id if isinstance(id, str) else None
    return ResultOut(status=422, id=named, code="invalid_request", errors=[FaultOut(**asdict(f)) for f in faults])


def _result(person: Person | None, wrong: ResultOut | None, new: Mapping[str, bool]) -> ResultOut:
    if person is None:
        return wrong or _refused(None, ())
    return ResultOut(status=201 if new.get(person.id) else 200, id=person.id)


def _shown(person: Person) -> RecipientOut:
    return RecipientOut.model_validate(
        {
            "id": person.id,
            **person.addresses,
            "locale": person.locale,
            "timezone": person.timezone,
            "updated_at": person.updated_at,
        }
    )

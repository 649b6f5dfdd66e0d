"""`PUT, GET, DELETE /recipients/{id}`: the tenant's address book."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.access import HasParts, Reader, Sender
from api.documented import problems
from api.inputs import Text, plain
from api.problems import Problem
from api.requests import Fault
from ledger import recipients
from ledger.recipients import NotAnAddress, Person

router = APIRouter(tags=["recipients"], prefix="/recipients/{id}")

_PLAIN = ("locale", "timezone")

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


@router.put(
    "",
    operation_id="putRecipient",
    responses={201: {"model": RecipientOut, "description": "new"}, **problems(401, 403, 413, 422, 503)},
)
async def put_recipient(parts: HasParts, tenant: Sender, id: Id, body: RecipientIn, response: Response) -> RecipientOut:
    """Store a person, in place of what was there."""
    given = body.model_dump(exclude_none=True)
    addresses = {name: value for name, value in given.items() if name not in _PLAIN}
    try:
        person = recipients.checked(Person(id, addresses, body.locale, body.timezone), parts.channels)
    except NotAnAddress as error:
        fault = Fault(f"/{error.field.replace('~', '~0').replace('/', '~1')}", str(error))
        raise Problem("invalid_request", "The request is not valid.", errors=(fault,)) from None
    stored, new = await recipients.put(parts.changing(tenant), tenant, person)
    response.status_code = 201 if new else 200
    return _shown(stored)


@router.get("", operation_id="getRecipient", responses=problems(401, 403, 404, 422, 503))
async def get_recipient(parts: HasParts, tenant: Reader, id: Id) -> RecipientOut:
    """One person."""
    found = await recipients.get(parts.reading(tenant), tenant, id)
    if found is None:
        raise Problem("not_found", "There is no such recipient.")
    return _shown(found)


@router.delete("", operation_id="deleteRecipient", status_code=204, responses=problems(401, 403, 404, 422, 503))
async def delete_recipient(parts: HasParts, tenant: Sender, id: Id) -> None:
    """Remove a person. Notifications accepted before keep the address they got."""
    if not await recipients.delete(parts.changing(tenant), tenant, id):
        raise Problem("not_found", "There is no such recipient.")


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

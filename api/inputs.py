"""What callers may put into paths, queries and cursors, so that nothing odd gets past the door."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from api.problems import Problem
from api.requests import Fault
from domain.ids import DeliveryId

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[ +-]\d\d:\d\d)\Z")


def _written(value: object) -> object:
    """RFC 3339 only. In a query `+` arrives as a space if it was not escaped."""
    if not isinstance(value, str) or not _RFC3339.match(value):
        raise ValueError("must be an RFC 3339 date and time, such as 2026-03-01T09:00:00Z")
    return value.replace(" ", "+")


def _within(moment: datetime) -> datetime:
    """Years every clock and the ledger's ids can hold."""
    if not 2000 <= moment.year < 3000:
        raise ValueError("must lie between the years 2000 and 3000")
    return moment.astimezone(UTC)


def plain(text: str) -> str:
    """What PostgreSQL can store."""
    if "\x00" in text or (not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)):
        raise ValueError("must not hold NUL or lone surrogates")
    return text


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_written),
    AfterValidator(_within),
    Field(examples=["2026-03-01T09:00:00Z"]),
]
Text = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(plain)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,49}$")]

Cursor = Annotated[str | None, Query(max_length=500, description="`page.next` of the page before")]
NotificationId = Annotated[str, Path(examples=["01890a5d-ac96-774b-bcce-b302099a8057"])]
LetterId = Annotated[str, Path(examples=["01890a5d-ac96-774b-bcce-b302099a8057.0"])]


def notification_id(text: str) -> UUID:
    """Raises Problem 404: what is no id names nothing."""
    try:
        if len(text) == 36:
            return UUID(text)
    except ValueError:
        pass
    raise Problem("not_found", "There is no such notification.")


def delivery_id(text: str) -> DeliveryId:
    """Raises Problem 404: what is no id names nothing."""
    try:
        return DeliveryId.parse(text)
    except ValueError:
        raise Problem("not_found", "There is no such delivery.") from None


def to_cursor(*parts: object) -> str:
    """Opaque text from the place of the last item shown."""
    return urlsafe_b64encode("|".join(map(str, parts)).encode()).decode().rstrip("=")


def after_notification(cursor: str | None) -> UUID | None:
    """The place a cursor of `GET /notifications` stands for. Raises Problem 422."""
    try:
        return UUID(_parts(cursor, 1)[0]) if cursor is not None else None
    except ValueError:
        raise _no_cursor() from None


def after_delivery(cursor: str | None) -> DeliveryId | None:
    """The place a cursor of `GET /status/{id}` stands for. Raises Problem 422."""
    try:
        return DeliveryId.parse(_parts(cursor, 1)[0]) if cursor is not None else None
    except ValueError:
        raise _no_cursor() from None


def after_letter(cursor: str | None) -> tuple[datetime, DeliveryId] | None:
    """The place a cursor of `GET /dead-letters` stands for. Raises Problem 422."""
    if cursor is None:
        return None
    try:
        at, delivery = _parts(cursor, 2)
        return _within(datetime.fromisoformat(at)), DeliveryId.parse(delivery)
    except ValueError:
        raise _no_cursor() from None


def after_name(cursor: str | None) -> str:
    """The name a cursor of a list by name stands for; empty at the beginning. Raises Problem 422."""
    try:
        return plain(_decoded(cursor).decode()) if cursor is not None else ""
    except ValueError:
        raise _no_cursor() from None


def after_hash(cursor: str | None) -> tuple[str, bytes]:
    """The place a cursor of `GET /suppressions` stands for. Raises Problem 422."""
    try:
        channel, address_hash = _parts(cursor, 2) if cursor is not None else ("", "")
        return plain(channel), bytes.fromhex(address_hash)
    except ValueError:
        raise _no_cursor() from None


def _decoded(cursor: str) -> bytes:
    return urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))


def _parts(cursor: str, number: int) -> list[str]:
    parts = _decoded(cursor).decode("ascii").split("|")
    if len(parts) != number:
        raise ValueError("not a cursor of this list")
    return parts


def _no_cursor() -> Problem:
    fault = Fault("/query/cursor", "This is no cursor of this list.")
    return Problem("invalid_request", "The request is not valid.", errors=(fault,))

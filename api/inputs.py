"""What callers may put into paths and queries, so that nothing odd gets past the door."""

import re
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from api.problems import Problem
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

"""Reading what vendors report: every piece is checked before it is believed, and nonsense is `Malformed`."""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from domain.ids import SendKey
from providers.base import Forged, Malformed

SKEW = timedelta(minutes=5)  # how far a vendor's clock may run ahead of ours

_TOKEN = re.compile(r"[\x21-\x7e]{1,255}\Z")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,99}\Z")


def json_of(body: bytes | str) -> Any:
    """The JSON in it. Raises Malformed."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Malformed("this is not JSON") from None


def mapping(value: Any, name: str) -> Mapping[str, Any]:
    """A JSON object. Raises Malformed, naming it."""
    if not isinstance(value, dict):
        raise Malformed(f"{name} must be an object")
    return value  # pyright: ignore[reportUnknownVariableType]


def identifier(value: Any, name: str) -> str:
    """An id: 1 to 255 printable ASCII characters without spaces. Raises Malformed, naming it."""
    if not isinstance(value, str) or not _TOKEN.match(value):
        raise Malformed(f"{name} must be 1 to 255 printable ASCII characters")
    return value


def code(*parts: Any) -> str:
    """A reason made of the vendor's short codes, joined by `:`. A part that is no short code is left out (privacy)."""
    return ":".join(part for part in parts if isinstance(part, str) and _CODE.match(part))


def send_key(value: Any) -> SendKey | None:
    """Our key if it is one; None for mail somebody else sent from the same account."""
    try:
        return SendKey.parse(value) if isinstance(value, str) else None
    except ValueError:
        return None


def epoch(value: Any, name: str) -> datetime:
    """Seconds since 1970 (a JSON number). Raises Malformed, naming it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(f"{name} must be a number")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise Malformed(f"{name} is no time") from None


def rfc3339(value: Any, name: str) -> datetime:
    """An RFC 3339 time with its offset. Raises Malformed, naming it."""
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else _naive(name)
    except (TypeError, ValueError, OverflowError):
        raise Malformed(f"{name} must be an RFC 3339 time") from None


def base64_of(text: str) -> bytes:
    """Standard base64, nothing else in it. Raises ValueError."""
    return base64.b64decode(text, validate=True)


def require_recent(moment: datetime, max_age: float) -> None:
    """Raises Forged for a signed time more than `max_age` seconds ago, or five minutes ahead of our clock."""
    now = datetime.now(UTC)
    if not now - timedelta(seconds=max_age) <= moment <= now + SKEW:
        raise Forged("the signed time is too far from now")


def _naive(name: str) -> datetime:
    raise Malformed(f"{name} must have an offset, such as Z")

"""Cursors of lists: opaque, signed, and good only for the list, the tenant and the filters they were given out for."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson

from api.parts import Parts
from api.problems import invalid
from api.requests import Fault

_T = TypeVar("_T")

MOST_CURSOR = 2200  # characters: 255 of an id, each six as JSON at the worst

_MAC = 16  # bytes of HMAC-SHA-256, as RFC 2104 (section 5) lets it be cut
_PURPOSE = b"clarion: cursors"
_FRAME = frozenset({"limit", "cursor"})  # of a query, what is no filter: a page may be of another size than the last


class Cursors:
    """One list as one caller asked for it. A cursor holds the place of the last item shown, never a number of items:
    what is added meanwhile moves nothing."""

    def __init__(self, secret: bytes, of: str, tenant: str | None, filters: Mapping[str, Any]) -> None:
        """`of`: the list's name. `tenant` None: an operator asks. `filters`: those in force, by name."""
        self._key = hmac.digest(secret, _PURPOSE, "sha256")
        said = {name: value for name, value in filters.items() if value is not None and name not in _FRAME}
        self._scope = orjson.dumps([of, tenant, said], option=orjson.OPT_SORT_KEYS, default=str) + b"\n"

    def to(self, *place: object) -> str:
        """The cursor that leads on from the item of this place."""
        written = orjson.dumps([str(part) for part in place])
        return urlsafe_b64encode(self._mac(written) + written).rstrip(b"=").decode()

    def place(self, cursor: str | None, read: Callable[..., _T]) -> _T | None:
        """Where a cursor leads, as `read` makes it of what `to` was given (as text); None without a cursor.

        Raises Problem 422 for one that was not given out by `to` of this very list.
        """
        if cursor is None:
            return None
        try:
            signed = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
            mac, written = signed[:_MAC], signed[_MAC:]
            if hmac.compare_digest(mac, self._mac(written)):
                return read(*orjson.loads(written))
        except (ValueError, TypeError):  # no base64, or signed by a version that wrote its places otherwise
            pass
        fault = Fault("/query/cursor", "This is no cursor of this list with these filters.")
        raise invalid(fault)

    def _mac(self, written: bytes) -> bytes:
        return hmac.digest(self._key, self._scope + written, "sha256")[:_MAC]


def cursors(parts: Parts, of: str, tenant: str | None, filters: Mapping[str, Any]) -> Cursors:
    """The same with this installation's secret, which all API processes share."""
    return Cursors(parts.settings.secret, of, tenant, filters)

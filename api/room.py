"""How many bytes of request bodies a process has in hand at once: lanes count deliveries, and one may be a mebibyte."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from api.asgi import Receive
from ledger.grouping import Full


class Room:
    """Shared by all requests of a process. Only bytes that came count, so a caller who is slow holds up nobody."""

    def __init__(self, size: int) -> None:
        """`size`: bytes."""
        self._free = size

    @contextmanager
    def shared(self, receive: Receive) -> Iterator[Receive]:
        """A `receive` that takes its bytes from the room, and gives them back when the block ends. It raises Full."""
        held = 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal held
            message = await receive()
            size = len(message.get("body", b""))
            if size > self._free:
                raise Full
            self._free -= size
            held += size
            return message

        try:
            yield counted
        finally:
            self._free += held

"""So many writes begin in one turn of the event loop: what else has come, reads above all, waits for no more."""

import asyncio
from collections import deque


class Slicing:
    """One per process. A crowd's requests come in one turn, and worked off in one they would hold it for long."""

    def __init__(self, size: int) -> None:
        """`size`: how many begin in one turn."""
        self._size = self._left = size
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._asked = False  # for the next turn

    async def begin(self) -> None:
        """Returns in this turn or a later one, in order of asking."""
        if self._left:
            self._left -= 1
            self._ask()
            return
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._asked, self._left = False, self._size
        while self._waiting and self._left:
            waiting = self._waiting.popleft()
            if not waiting.done():  # its caller may have gone
                waiting.set_result(None)
                self._left -= 1
        if self._left < self._size:
            self._ask()

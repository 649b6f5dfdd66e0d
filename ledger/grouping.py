"""Group commit: what arrives while one commit is under way goes into the next, all together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from domain import shares
from domain.turns import Waiting
from observe import logs

log = logs.get(__name__)

In = TypeVar("In")
Out = TypeVar("Out")

_CROWD = 32  # items in a flush from which the next waits its full pace, usually
_AT_ONCE = 128  # items answered before whatever else waits has its turn

# Results, one for each item in order, and what has to be done before the next flush but after everyone is answered.
Flushed = tuple[Sequence[Out], Awaitable[None] | None]


class Full(Exception):
    """Too much is waiting already: nothing was taken. `retry_after`: whole seconds until there may be room."""

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__("too much is waiting")
        self.retry_after = retry_after


@dataclass(frozen=True)
class Turns(Generic[In]):
    """Whose an item is, and how many times the usual share that owner gets."""

    owner: Callable[[In], str]
    weight: Callable[[str], int] = lambda owner: 1


@dataclass(slots=True)
class _Waiting(Generic[In, Out]):
    item: In
    weight: int
    answer: asyncio.Future[Out]


class Group(Generic[In, Out]):
    """A queue with one flush at a time. A lone item never waits; under load each flush takes all that has gathered."""

    def __init__(
        self,
        flush: Callable[[Sequence[In]], Awaitable[Flushed[Out]]],
        *,
        cap: int,
        bound: int,
        pace: float = 0.0,
        crowd: int = _CROWD,
        flushes: int = 1,
        turns: Turns[In] | None = None,
    ) -> None:
        """`cap`: weight of one flush (a single heavier item goes alone). `bound`: weight that may wait, then Full.

        `pace`: seconds to let the next items gather after a flush under load; shrinks to 0 when idle, and ends when
        they fill a flush. `crowd`: items in a flush above which the next waits all of it.
        `flushes`: how many may be under way at once. `turns`: owners take turns; else first come, first served.
        """
        self._flush, self._cap, self._bound, self._pace, self._flushes = flush, cap, bound, pace, flushes
        self._waiting: Waiting[_Waiting[In, Out]] = Waiting(lambda each: each.weight)
        self._crowd, self._turns = crowd, turns
        self._served: set[str] = set()  # whose items the last flush took
        self._newcomer = asyncio.Event()
        self._hurry = asyncio.Event()  # nothing is gained by letting more gather
        self._tasks: set[asyncio.Task[None]] = set()
        self._following: set[asyncio.Task[None]] = set()

    @property
    def depth(self) -> int:
        """Weight of what waits."""
        return self._waiting.weight

    async def put(self, item: In, weight: int = 1) -> Out:
        """The result for this item, once its flush is committed. Raises Full, and what the flush raises."""
        owner = self._turns.owner(item) if self._turns else ""
        if self._waiting.weight and not self._fits(owner, weight):
            raise Full
        waiting = _Waiting[In, Out](item, weight, asyncio.get_running_loop().create_future())
        self._waiting.put(owner, self._turns.weight(owner) if self._turns else 1, waiting)
        if self._turns and owner not in self._served:
            self._newcomer.set()
            self._hurry.set()
        if self._waiting.weight >= self._cap:
            self._hurry.set()
        if len(self._tasks) < self._flushes:
            self._tasks.add(asyncio.create_task(self._drain()))
        return await waiting.answer

    async def close(self) -> None:
        """Wait until everything that was put is through."""
        while waited := self._tasks | self._following:
            await asyncio.wait(waited)

    def _fits(self, owner: str, weight: int) -> bool:
        own, owners = self._waiting.of(owner), self._waiting.owners + (self._waiting.of(owner) == 0)
        return weight <= shares.room(own, self._waiting.weight, self._bound, owners if self._turns else 1)

    async def _drain(self) -> None:
        while self._waiting.weight:
            group = self._waiting.take(self._cap)
            self._served = {self._turns.owner(each.item) for each in group} if self._turns else set()
            self._newcomer.clear()
            self._hurry.clear()
            follow_up = await self._answer(group)
            if follow_up is not None:
                await self._follow_unless_newcomer(follow_up)
            # One or two items a flush is an idle lane: nobody shall wait for company that does not come.
            await self._pause(self._pace * min(1.0, (len(group) - 1) / self._crowd))
        # At once, not by a callback a moment later: an item put in that moment would wait for a task that has ended.
        self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _pause(self, seconds: float) -> None:
        """Let items gather; one whose owner had none in the last flush does not wait for the crowd."""
        if not seconds or self._waiting.weight >= self._cap:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    async def _follow_unless_newcomer(self, follow_up: Awaitable[None]) -> None:
        """Under load the next flush waits for it; but not one for an owner who had nothing in the last."""
        following = asyncio.create_task(self._follow(follow_up))
        if not self._turns:
            await following
            return
        self._following.add(following)
        following.add_done_callback(self._following.discard)
        news = asyncio.create_task(self._newcomer.wait())
        await asyncio.wait({following, news}, return_when=asyncio.FIRST_COMPLETED)
        news.cancel()

    async def _follow(self, follow_up: Awaitable[None]) -> None:
        """Everyone has been answered: a fault here must not keep those that wait from their own flush."""
        try:
            await follow_up
        except Exception as error:
            log.exception("group.follow_up_failed", error=type(error).__name__)

    async def _answer(self, group: Sequence[_Waiting[In, Out]]) -> Awaitable[None] | None:
        try:
            results, follow_up = await self._flush([waiting.item for waiting in group])
        except Exception as error:
            for waiting in group:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return None
        for n, (waiting, result) in enumerate(zip(group, results, strict=True), 1):
            if not waiting.answer.done():
                waiting.answer.set_result(result)
            if n % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return follow_up

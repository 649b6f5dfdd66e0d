"""Sends in hand at each vendor, by whose and how urgent they are: a flood leaves places to the others."""

import asyncio
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Never

from domain import shares
from domain.priorities import Priority
from providers.http import CONNECTIONS

_LAG = 0.012  # seconds: this late, the process has more in hand than it can serve at once
_LEAST = 32  # sends in hand at a provider, however busy the process is
_TICK = 0.05  # seconds that places gather before somebody is called: a claim for each would be a query a message
CHUNK = 16  # places worth a claim, where more is due; and for which one of those that wait is called
_YIELD = 4  # while more urgent ones wait, others hold so small a part of the places

_Call = Callable[[], None]
_Calls = OrderedDict[_Call, tuple[Priority, int]]  # who waits, each with the most calls there should be


class Places:
    """One per process. Who finds no room may wait to be called: owner by owner, the most urgent of each first."""

    def __init__(self, *, fair: bool = True) -> None:
        self._fair = fair
        self._taken: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._urgency: defaultdict[str, Counter[Priority]] = defaultdict(Counter)  # of what is taken
        self._waiting: defaultdict[str, OrderedDict[str, _Calls]] = defaultdict(OrderedDict)  # by provider and owner
        self._calling: dict[str, asyncio.Task[None]] = {}
        self._bearable = CONNECTIONS

    async def keep(self) -> Never:
        """Hold what is in hand to what the process can serve promptly: else whoever comes waits behind all of it.

        Additive increase, multiplicative decrease, by how late a short sleep ends. Run it as a task.
        """
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 0.02
            await asyncio.sleep(0.02)
            late = loop.time() - due > _LAG
            self._bearable = max(_LEAST, self._bearable * 7 // 8) if late else min(CONNECTIONS, self._bearable + 4)

    def wait(self, provider: str, owner: str, priority: Priority, most: int, call: _Call) -> None:
        """Call this once when it is its turn and there is room. Waiting twice is waiting once."""
        name = owner if self._fair else "all"
        self._waiting[provider].setdefault(name, OrderedDict())[call] = priority, most
        if provider not in self._calling:
            self._calling[provider] = asyncio.create_task(self._call(provider))

    def leave(self, provider: str, call: _Call) -> None:
        """It waits no more."""
        for owner, calls in list(self._waiting[provider].items()):
            calls.pop(call, None)
            if not calls:
                del self._waiting[provider][owner]

    async def _call(self, provider: str) -> None:
        waiting = self._waiting[provider]
        while waiting:
            await asyncio.sleep(_TICK)
            for owner in list(waiting):
                self._call_some(provider, owner)
        del self._calling[provider]

    def _call_some(self, provider: str, owner: str) -> None:
        """As many of an owner's as the room is worth; what they take is only known when they have claimed."""
        calls = self._waiting[provider][owner]
        waiting = sorted(calls.items(), key=lambda each: each[1][0].key)
        priority, most = waiting[0][1]
        room = self.room(provider, owner, priority, most)
        for call, _ in waiting[: -(-room // CHUNK)]:
            del calls[call]
            call()
        if not calls:
            del self._waiting[provider][owner]

    def room(self, provider: str, owner: str, priority: Priority, most: int) -> int:
        """How many calls more this owner may begin, where there should be no more than `most` in all."""
        most = min(most, self._bearable)
        room = self._room(provider, owner, most)
        if not room or not self._urgent_wait(provider, priority):
            return room
        return max(0, min(room, most // _YIELD - self._urgency[provider][priority]))

    def _urgent_wait(self, provider: str, priority: Priority) -> bool:
        waiting = self._waiting[provider].values()
        return any(other.key < priority.key for calls in waiting for other, _ in calls.values())

    def _room(self, provider: str, owner: str, most: int) -> int:
        taken = self._taken[provider]
        own, owners = taken[owner], len(taken)
        if not own:
            del taken[owner]
            owners = len(taken) + 1
        if not self._fair:
            return max(0, most - taken.total())
        return max(shares.room(own, taken.total(), most, owners), shares.least(own, most, owners))

    @contextmanager
    def taken(self, provider: str, owner: str, priority: Priority, calls: int = 1) -> Generator[None]:
        """So many sends are in hand inside the block: first while they are claimed, then each until it is recorded."""
        taken, urgency = self._taken[provider], self._urgency[provider]
        taken[owner] += calls
        urgency[priority] += calls
        try:
            yield
        finally:
            urgency[priority] -= calls
            taken[owner] -= calls
            if not taken[owner]:
                del taken[owner]

"""The load: many callers on both APIs, a file of every accepted id, and the answers to those who cancelled."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from bench.chaos.content import Request, request
from bench.load import Connection, Target
from domain.ids import DeliveryId

_CALLERS = 32
_PATIENCE = 12.0  # seconds for an answer: longer than anything is stalled, but for a worker
_AGAIN = 0.2  # seconds after a broken connection


@dataclass(frozen=True, slots=True)
class Accepted:
    """A 202. Seconds since 1970."""

    n: int
    asked: float
    answered: float


@dataclass
class Harvest:
    """What came of the load. `cancelled`: deliveries of which the API said that nobody will ever send them."""

    accepted: list[Accepted] = field(default_factory=list[Accepted])
    refused: Counter[int] = field(default_factory=Counter[int])
    broken: int = 0  # no answer: nobody knows whether it was taken
    cancelled: list[DeliveryId] = field(default_factory=list[DeliveryId])
    too_late: int = 0
    cancels_unknown: int = 0  # the cancel's own answer was lost


class Crowd:
    """Calls until stopped: each second's requests come together, so that notifications share batches."""

    def __init__(self, apis: tuple[str, ...], seed: int, rate: float, file: Path) -> None:
        """`rate`: requests a second. `file` gets `{n} {id}` for each accepted notification, line by line."""
        self._targets = [Target(api) for api in apis]
        self._seed, self._rate, self._path = seed, rate, file
        self._numbers = iter(range(10**9))
        self._cancels: set[asyncio.Task[None]] = set()
        self.harvest = Harvest()

    async def call(self, stop: asyncio.Event) -> Harvest:
        """Go on until `stop`, then wait for the answers under way."""
        began = time.time()
        with self._path.open("a", buffering=1) as self._file:
            timeout = aiohttp.ClientTimeout(total=_PATIENCE)
            async with aiohttp.ClientSession(timeout=timeout) as self._http:
                await asyncio.gather(*(self._caller(each, began, stop) for each in range(_CALLERS)))
                await asyncio.gather(*self._cancels)
        return self.harvest

    async def _caller(self, me: int, began: float, stop: asyncio.Event) -> None:
        """One keep-alive connection, to the other API whenever it breaks."""
        connection: Connection | None = None
        for n in self._numbers:
            await _until(began + n // self._rate, stop)
            if stop.is_set():
                break
            target = self._targets[me % len(self._targets)]
            try:
                async with asyncio.timeout(_PATIENCE):
                    connection = connection or await _connected(target)
                    await self._one(n, target, connection)
            except OSError:  # a time-out is one, too
                self.harvest.broken += 1
                if connection:
                    connection.close()
                connection, me = None, me + 1
                await asyncio.sleep(_AGAIN)
        if connection:
            connection.close()

    async def _one(self, n: int, target: Target, connection: Connection) -> None:
        asked = time.time()
        wanted = request(n, self._seed, asked)
        status, body = await connection.post(target.head(wanted.path), wanted.body)
        answer = orjson.loads(body)
        for each in answer["results"] if status == 207 else [{**answer, "status": status}]:
            if each["status"] == 202:
                self._file.write(f"{n} {each['id']}\n")
                self.harvest.accepted.append(Accepted(n, asked, time.time()))
            else:
                self.harvest.refused[each["status"]] += 1
        if status == 202 and wanted.cancel_after is not None:
            self._plan_cancel(answer["id"], wanted)

    def _plan_cancel(self, notification: str, wanted: Request) -> None:
        task = asyncio.create_task(self._cancel(notification, wanted.cancel_after or 0.0))
        self._cancels.add(task)

    async def _cancel(self, notification: str, after: float) -> None:
        await asyncio.sleep(after)
        try:
            url = f"{self._targets[0].url}/notifications/{notification}/cancel"
            async with self._http.post(url) as response:
                answer: dict[str, Any] = await response.json() if response.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError, OSError):
            answer = {}
        self.harvest.cancels_unknown += not answer
        self.harvest.cancelled += [DeliveryId.parse(one) for one in answer.get("cancelled", ())]
        self.harvest.too_late += len(answer.get("too_late", ()))


async def _connected(target: Target) -> Connection:
    host, _, port = target.url.removeprefix("http://").partition(":")
    return await Connection.open(host, int(port))


async def _until(moment: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(max(0.0, moment - time.time())):
            await stop.wait()
    except TimeoutError:
        pass

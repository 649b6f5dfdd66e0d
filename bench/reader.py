"""Reads of `GET /status` at a fixed rate in a process of its own, half of them to see when a status changes.

`python -m bench.reader` takes `Reads` as JSON from standard input and writes `Seen` to standard output.
"""

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import orjson
import uvloop

from bench.driver import told
from bench.load import Connection

_CLIENTS = 64
_WATCHED = 4  # notifications at a time: each is asked for every few hundredths of a second
_BEFORE = frozenset({"QUEUED", "SENDING"})  # no vendor has answered yet


@dataclass(frozen=True, slots=True)
class Reads:
    """How many reads, and how many a second. `promised`: the file a load writes accepted ids to meanwhile."""

    url: str
    key: str
    promised: str
    rate: float
    count: int


@dataclass(slots=True)
class Seen:
    """`latencies` in seconds from the planned time, of 200s. `changed`: by id, when an answer first showed it sent.

    Only of those that an earlier answer had shown waiting; in seconds since 1970.
    """

    latencies: list[float] = field(default_factory=list[float])
    wrong: int = 0
    changed: dict[str, float] = field(default_factory=dict[str, float])


async def read_status(reads: Reads) -> Seen:
    """What another process sees. Raises Untried when it breaks."""
    return Seen(**await told("bench.reader", asdict(reads)))


class _Reader:
    """Every second read is of any notification so far, the others are of the few that are watched, in turn."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._seen = Seen()
        self._ids: list[str] = []
        self._watched: list[str] = []
        self._shown_waiting: set[str] = set()
        self._chance = random.Random(1)

    async def run(self) -> Seen:
        """All of them."""
        with Path(self._reads.promised).open() as file:  # noqa: ASYNC230 (of one who only waits)
            while not self._ids:
                await self._look(file)
            self._watched = [self._ids[-1]] * _WATCHED
            following = asyncio.create_task(self._follow(file))
            try:
                await self._read_all()
            finally:
                following.cancel()
        return self._seen

    async def _look(self, file: TextIO) -> None:
        """The load writes line by line."""
        self._ids += [line.split()[1] for line in file]
        await asyncio.sleep(0.05)

    async def _follow(self, file: TextIO) -> None:
        while True:
            await self._look(file)

    async def _read_all(self) -> None:
        numbers, started = iter(range(self._reads.count)), time.perf_counter()
        await asyncio.gather(*(self._client(numbers, started) for _ in range(_CLIENTS)))

    async def _client(self, numbers: Iterator[int], started: float) -> None:
        parts = urlsplit(self._reads.url)
        connection = await Connection.open(parts.hostname or "127.0.0.1", parts.port or 80)
        for n in numbers:
            planned = started + n / self._reads.rate
            if (ahead := planned - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            slot = n // 2 % _WATCHED if n % 2 else None
            mine = self._chance.choice(self._ids) if slot is None else self._watched[slot]
            status, answer = await connection.ask(self._request(mine))
            if status != 200:
                self._seen.wrong += 1
                continue
            self._seen.latencies.append(time.perf_counter() - planned)
            if slot is not None and self._watched[slot] == mine:
                self._note(slot, orjson.loads(answer)["deliveries"][0]["status"])
        connection.close()

    def _request(self, notification: str) -> bytes:
        host = urlsplit(self._reads.url).netloc
        lines = (f"GET /status/{notification} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {self._reads.key}")
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode()

    def _note(self, slot: int, status: str) -> None:
        """One that has changed makes room for the newest."""
        mine = self._watched[slot]
        if status in _BEFORE:
            self._shown_waiting.add(mine)
            return
        if mine in self._shown_waiting:
            self._seen.changed.setdefault(mine, time.time())
        self._watched[slot] = self._ids[-1]


def _main() -> None:
    said = orjson.loads(sys.stdin.buffer.read())
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(_Reader(Reads(**said)).run())))


if __name__ == "__main__":
    _main()

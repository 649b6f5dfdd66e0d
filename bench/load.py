"""A load of `POST /notify`: cheap enough to share two cores with what it loads, with a file of what was accepted."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import orjson

from bench.numbers import percentile

PRIORITIES = (("high", 0.10), ("normal", 0.60), ("low", 0.30))


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, host: str, port: int) -> "Connection":
        """Raises OSError."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, host, port)
        return connection

    async def post(self, head: bytes, body: bytes) -> tuple[int, bytes]:
        """Status and body of one request. `head` is the request head up to Content-Length's value. Raises OSError."""
        return await self.ask(b"%s%d\r\n\r\n%s" % (head, len(body), body))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of what this whole request is answered with. Raises OSError."""
        if self._transport is None or self.closed:
            raise ConnectionResetError("closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    @property
    def closed(self) -> bool:
        """The other side hung up, as servers do with idle ones."""
        return self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        """Hang up."""
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio calls it."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods, not by its class

    def data_received(self, data: bytes) -> None:
        """Asyncio calls it: the answer is complete when as much of a body is there as its head says."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        if self._answer and not self._answer.done():
            self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio calls it."""
        if self._answer and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed"))


@dataclass
class Result:
    """What came of a load. Latencies in seconds, one for each 202."""

    refused: dict[int, int] = field(default_factory=dict[int, int])
    broken: int = 0  # connections that failed in the middle: nobody knows
    latencies: list[float] = field(default_factory=list[float])
    seconds: float = 0.0
    began: float = 0.0  # Unix time
    cpu: float = 0.0  # seconds of CPU that a process of its own took for it

    @property
    def accepted(self) -> int:
        """How many got a 202."""
        return len(self.latencies)

    def percentile(self, share: float) -> float:
        """Latency in seconds that this share of answers was faster than."""
        return percentile(self.latencies, share)


def body_of(
    n: int,
    token: str,
    chance: random.Random,
    channels: Sequence[str] = ("email",),
    *,
    shares: Sequence[tuple[str, float]] = PRIORITIES,
    recipients: int = 1,
) -> bytes:
    """A notification whose text names it, for whoever reads the vendor's log later. `shares`: of the priorities."""
    draw, priority = chance.random(), shares[-1][0]
    for name, share in shares:
        if draw < share:
            priority = name
            break
        draw -= share
    return orjson.dumps(
        {
            "channels": channels,
            "recipient_ids": [f"user{(n * recipients + m) % 5000}" for m in range(recipients)],
            "message": f"load {token} {n}",
            "priority": priority,
        }
    )


@dataclass(frozen=True, slots=True)
class Target:
    """Where the load goes."""

    url: str
    key: str | None = None

    def head(self, path: str, more: Mapping[str, str] | None = None) -> bytes:
        """A request's head, up to the value of Content-Length."""
        parts = urlsplit(self.url)
        headers = {"Host": parts.netloc, "Content-Type": "application/json", **(more or {})}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {path} HTTP/1.1\r\n{lines}Content-Length: ".encode()


async def run(
    target: Target,
    *,
    clients: int,
    make_body: Callable[[int], bytes],
    key_of: Callable[[int], str | None] = lambda n: None,
    seconds: float | None = None,
    count: int | None = None,
    rate: float | None = None,
    accepted_ids: Path | None = None,
    keep_going: bool = False,
    rest: float = 0.0,
    stop: asyncio.Event | None = None,
) -> Result:
    """Drive the load. Closed loop without `rate`; with it open loop: latency counts from the planned time.

    `key_of`: the idempotency key of a request, if it has one.
    `accepted_ids`: a file that gets `{n} {id}` for every 202, flushed line by line, so that a crash of ours loses none.
    `keep_going`: a broken connection is opened again, and its request not repeated. `stop` ends the load early.
    `rest`: seconds a client stays away after a 429 or 503.
    """
    result, numbers = Result(began=time.time()), iter(range(count if count is not None else 10**9))
    started = time.perf_counter()
    end = started + seconds if seconds is not None else float("inf")
    parts = urlsplit(target.url)
    head = target.head("/notify")
    with accepted_ids.open("a", buffering=1) if accepted_ids else _Nowhere() as file:

        async def client() -> None:
            connection: Connection | None = None
            for n in numbers:
                planned = started + n / rate if rate else time.perf_counter()
                if planned >= end or time.perf_counter() >= end or (stop and stop.is_set()):
                    break
                if rate and (ahead := planned - time.perf_counter()) > 0:
                    await asyncio.sleep(ahead)
                try:
                    if connection is None or connection.closed:
                        connection = await Connection.open(parts.hostname or "127.0.0.1", parts.port or 80)
                    key = key_of(n)
                    mine = head if key is None else target.head("/notify", {"Idempotency-Key": key})
                    status, answer = await connection.post(mine, make_body(n))
                except OSError:
                    result.broken += 1
                    connection = None
                    if not keep_going:
                        raise
                    await asyncio.sleep(0.1)
                    continue
                if status == 202:
                    result.latencies.append(time.perf_counter() - planned)
                    file.write(f"{n} {orjson.loads(answer)['id']}\n")
                else:
                    result.refused[status] = result.refused.get(status, 0) + 1
                    if rest and status in (429, 503):
                        await asyncio.sleep(rest)
            if connection:
                connection.close()

        await asyncio.gather(*(client() for _ in range(clients)))
    result.seconds = time.perf_counter() - started
    return result


class _Nowhere:
    """Where ids go that nobody asked for."""

    def __enter__(self) -> "_Nowhere":
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, _: str) -> None:
        """Forget it."""

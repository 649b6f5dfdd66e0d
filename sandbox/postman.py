"""Posts the vendors' webhooks: keep-alive, some at a time, repeated with growing pauses as vendors do."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

_CARRIERS = 128  # posts under way at once: each is answered by a commit, and a vendor waits for many
_ROOM = 500_000  # reports waiting, those between two tries included: about 200 MB; more are dropped and counted
_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0, 60.0)  # seconds between tries: four minutes in all
_TIMEOUT = aiohttp.ClientTimeout(total=15)


@dataclass(frozen=True, slots=True)
class Post:
    """One webhook call, signed and ready. A repeat sends the same bytes."""

    vendor: str
    url: str
    body: bytes
    headers: dict[str, str]
    receipts: int = 1  # how many reports it carries


@dataclass(slots=True)
class Tally:
    """Reports by vendor: posted at least once, acknowledged by a 2xx, given up; and how often one was tried again."""

    posted: Counter[str] = field(default_factory=Counter[str])
    acknowledged: Counter[str] = field(default_factory=Counter[str])
    dropped: Counter[str] = field(default_factory=Counter[str])
    retries: Counter[str] = field(default_factory=Counter[str])


@dataclass(slots=True)
class Parcel:
    """Posts that go out one after the other, each after the one before was acknowledged."""

    posts: list[Post]
    retry: bool = True
    tries: int = 0
    tally: Tally | None = None  # where it counts: its postman's when it was handed over


class Postman:
    """Use between `open` and `close`, in a running loop."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._queue: asyncio.Queue[Parcel] = asyncio.Queue()
        self._held = 0
        self._carriers: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Start the carriers."""
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, auto_decompress=False)
        self._carriers = [asyncio.create_task(self._carry()) for _ in range(_CARRIERS)]

    async def close(self) -> None:
        """Stop at once; what waits is lost, as reports of a vendor that vanished are."""
        for carrier in self._carriers:
            carrier.cancel()
        await asyncio.gather(*self._carriers, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def send(self, parcel: Parcel) -> None:
        """Take a parcel; it is posted soon."""
        parcel.tally = self.tally
        if self._held >= _ROOM:
            _drop(parcel, self.tally)
        else:
            self._hold(parcel)

    async def deliver(self, parcel: Parcel) -> None:
        """Post it now; what is not acknowledged at once is tried again later."""
        parcel.tally = tally = parcel.tally or self.tally
        while parcel.posts and tally is self.tally:
            post = parcel.posts[0]
            if parcel.tries == 0:
                tally.posted[post.vendor] += post.receipts
            if not await self._acknowledged(post):
                self._rest(parcel, tally)
                return
            tally.acknowledged[post.vendor] += post.receipts
            parcel.posts.pop(0)
            parcel.tries = 0

    def forget(self) -> None:
        """Count from nothing; parcels taken before this are not posted any more."""
        self.tally = Tally()

    async def _carry(self) -> None:
        while True:
            parcel = await self._queue.get()
            self._held -= _receipts(parcel)
            await self.deliver(parcel)

    async def _acknowledged(self, post: Post) -> bool:
        """Post it to the URL exactly as given: Twilio's signature covers it."""
        assert self._session is not None
        try:
            async with self._session.post(
                URL(post.url, encoded=True), data=post.body, headers=post.headers, allow_redirects=False
            ) as answer:
                await answer.read()
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError):
            return False

    def _rest(self, parcel: Parcel, tally: Tally) -> None:
        if not parcel.retry or parcel.tries >= len(_PAUSES):
            _drop(parcel, tally)
            return
        pause = _PAUSES[parcel.tries]
        parcel.tries += 1
        self._held += _receipts(parcel)
        asyncio.get_running_loop().call_later(pause, self._wake, parcel, tally)

    def _wake(self, parcel: Parcel, tally: Tally) -> None:
        self._held -= _receipts(parcel)
        tally.retries[parcel.posts[0].vendor] += 1
        self._hold(parcel)

    def _hold(self, parcel: Parcel) -> None:
        self._held += _receipts(parcel)
        self._queue.put_nowait(parcel)


def _receipts(parcel: Parcel) -> int:
    return sum(post.receipts for post in parcel.posts)


def _drop(parcel: Parcel, tally: Tally) -> None:
    for post in parcel.posts:
        tally.dropped[post.vendor] += post.receipts
    parcel.posts.clear()


def now_and(skew: float) -> float:
    """The vendor's idea of the time: seconds since 1970, wrong by `skew` seconds."""
    return time.time() + skew

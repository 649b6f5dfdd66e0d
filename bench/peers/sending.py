"""The task of both peers: load a row, call the vendor, update the row; once for threads, once for coroutines."""

import os
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import aiohttp
import asyncpg
import orjson
import psycopg
import urllib3

from bench.peers import rows
from bench.peers.places import DATABASE
from domain.ids import DeliveryId, SendKey
from providers.email.sendgrid_events import KEY_ARGUMENT

_SECONDS = 30  # a vendor's answer may take; Clarion's own time-outs are of this size


_mine = threading.local()


class Refused(Exception):
    """The vendor answered with anything but 202: the task is to be repeated."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One HTTP call."""

    url: str
    headers: dict[str, str]
    body: bytes


class Sender:
    """For one thread: a connection to PostgreSQL and one to the vendor, both opened by their first use."""

    def __init__(self) -> None:
        self._http = urllib3.PoolManager(maxsize=1, retries=False)
        # Statements are prepared from the fifth time on, psycopg's default; each is a transaction of its own.
        self._db = psycopg.connect(os.environ[DATABASE], autocommit=True, cursor_factory=psycopg.RawCursor)

    def send(self, notification: UUID, seq: int) -> str | None:
        """Load it and call the vendor: the vendor's id, or None if it has been sent. Raises Refused, HTTPError."""
        row = self._db.execute(rows.LOAD, (notification, seq)).fetchone()
        if row is None:
            return None
        call = _call(notification, seq, *row)
        answer = self._http.request("POST", call.url, body=call.body, headers=call.headers, timeout=_SECONDS)
        return _taken(answer.status, answer.headers.get("X-Message-Id"))

    def record(self, notification: UUID, seq: int, message_id: str) -> None:
        """Update the row and add the event, in one commit."""
        self._db.execute(rows.SENT, (notification, seq, message_id))


def mine() -> Sender:
    """This thread's, or this process's where it has one thread."""
    try:
        return _mine.sender
    except AttributeError:
        _mine.sender = Sender()
        return _mine.sender


class AsyncSender:
    """For all coroutines of a process. Made by `async_sender`."""

    def __init__(self, db: asyncpg.Pool, http: aiohttp.ClientSession) -> None:
        self._db, self._http = db, http

    async def send(self, notification: UUID, seq: int) -> str | None:
        """As `Sender.send`. Raises Refused, aiohttp.ClientError."""
        row = await self._db.fetchrow(rows.LOAD, notification, seq)
        if row is None:
            return None
        call = _call(notification, seq, *row.values())
        async with self._http.post(call.url, data=call.body, headers=call.headers) as answer:
            await answer.read()
            return _taken(answer.status, answer.headers.get("X-Message-Id"))

    async def record(self, notification: UUID, seq: int, message_id: str) -> None:
        """As `Sender.record`."""
        await self._db.execute(rows.SENT, notification, seq, message_id)


@asynccontextmanager
async def async_sender(connections: int) -> AsyncGenerator[AsyncSender]:
    """It works inside the block, in the loop that runs then, with so many connections to PostgreSQL."""
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        asyncpg.create_pool(os.environ[DATABASE], min_size=1, max_size=connections) as db,
        aiohttp.ClientSession(timeout=timeout, connector=connector) as http,
    ):
        yield AsyncSender(db, http)


def _call(notification: UUID, seq: int, address: str, text: str) -> _Call:
    """What Clarion's own provider says for the same message (SendGrid v3, mail send)."""
    key = SendKey(DeliveryId(notification, seq), 0)
    mail = {
        "personalizations": [{"to": [{"email": address}], "custom_args": {KEY_ARGUMENT: str(key)}}],
        "from": {"email": os.environ["CLARION_MAIL_FROM"]},
        "subject": text,
        "content": [{"type": "text/plain", "value": text}],
    }
    headers = {
        "Authorization": f"Bearer {os.environ['CLARION_SENDGRID_API_KEY']}",
        "Content-Type": "application/json",
    }
    return _Call(f"{os.environ['CLARION_SENDGRID_URL']}/v3/mail/send", headers, orjson.dumps(mail))


def _taken(status: int, message_id: str | None) -> str:
    if status != 202 or not message_id:
        raise Refused(f"HTTP {status}")
    return message_id

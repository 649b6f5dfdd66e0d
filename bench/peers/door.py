"""The API of both peers: `POST /notify` and the vendor's webhook, on FastAPI."""

import hashlib
import hmac
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any, Literal, Protocol
from uuid import UUID

import asyncpg
import orjson
from fastapi import FastAPI, HTTPException, Request, Response
from pydantic import BaseModel, Field

from bench.peers import rows
from bench.peers.places import DATABASE
from domain.ids import new_id
from providers.base import Call, Forged, Malformed
from providers.email.sendgrid import SendGrid

_REMEMBERED = 60.0  # seconds a key is believed without asking again
_CONNECTIONS = 16  # of each API: more commit no faster on two cores


class Notification(BaseModel):
    """What `POST /notify` takes of Clarion's own body."""

    channels: list[Literal["email"]] = Field(min_length=1, max_length=1)
    recipient_ids: list[Annotated[str, Field(min_length=1, max_length=255)]] = Field(min_length=1, max_length=1000)
    message: str = Field(min_length=1, max_length=100_000)
    priority: Literal["high", "normal", "low"] = "normal"


class Taker(Protocol):
    """The part of the API in which the peers differ."""

    async def take(self, entry: rows.Entry) -> bool:
        """Commit it and enqueue its deliveries. False: its idempotency key was there, and nothing is done."""
        ...


Opening = Callable[[asyncpg.Pool], AbstractAsyncContextManager[Taker]]


def app(opening: Opening) -> FastAPI:
    """The API. `opening` makes the taker when it starts, from its connections to PostgreSQL."""
    door = _Door(opening)
    made = FastAPI(lifespan=door.open, openapi_url=None)
    made.add_api_route("/notify", door.notify, methods=["POST"])
    made.add_api_route("/webhook/sendgrid", door.webhook, methods=["POST"])
    made.add_api_route("/livez", door.livez, methods=["GET"])
    return made


class _Door:
    _db: asyncpg.Pool
    _taker: Taker
    _keys: "_Keys"

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._vendor = SendGrid()

    @asynccontextmanager
    async def open(self, _: FastAPI) -> AsyncGenerator[None]:
        async with asyncpg.create_pool(os.environ[DATABASE], min_size=4, max_size=_CONNECTIONS) as self._db:
            self._keys = _Keys(self._db)
            async with self._opening(self._db) as self._taker:
                yield

    async def notify(self, request: Request, body: Notification) -> Response:
        tenant = await self._keys.tenant(request.headers.get("authorization", ""))
        key = request.headers.get("idempotency-key")
        entry = rows.Entry(new_id(), tenant, body.priority, body.channels, body.message, body.recipient_ids, key)
        if await self._taker.take(entry):
            return _accepted(entry.id)
        return _accepted(await self._db.fetchval(rows.REPEATED, tenant, key))

    async def webhook(self, request: Request) -> Response:
        """Verified and read by Clarion's own code; all rows in one statement, before it is acknowledged."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            receipts = await self._vendor.receipts(Call(str(request.url), headers, await request.body()))
        except Forged:
            raise HTTPException(401) from None
        except Malformed as error:
            raise HTTPException(422, str(error)) from None
        await self._db.execute(rows.REPORTED, *rows.reported(receipts))
        return Response(status_code=204)

    async def livez(self) -> dict[str, Any]:
        return {"status": "ok"}


class _Keys:
    """API keys, known by their hashes, as Clarion's are."""

    def __init__(self, db: asyncpg.Pool) -> None:
        self._db = db
        self._known: dict[str, tuple[str, float]] = {}

    async def tenant(self, authorization: str) -> str:
        """Whose key it is. Raises HTTPException 401."""
        known = self._known.get(authorization)
        if known and known[1] > time.monotonic():
            return known[0]
        key = authorization.removeprefix("Bearer ")
        row = await self._db.fetchrow(rows.KEY, key.partition(".")[0])
        if row is None or not hmac.compare_digest(row["hash"], hashed(key)):
            raise HTTPException(401)
        self._known[authorization] = row["tenant_id"], time.monotonic() + _REMEMBERED
        return row["tenant_id"]


def hashed(key: str) -> bytes:
    """What is kept of a key: SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(key.encode()).digest()


def _accepted(notification: UUID) -> Response:
    body = orjson.dumps({"id": str(notification), "notification_id": str(notification), "status": "accepted"})
    return Response(body, 202, media_type="application/json", headers={"Location": f"/status/{notification}"})

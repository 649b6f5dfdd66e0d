"""The API with real parts behind it, called without a socket in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient, Response
from seeding import CHANNELS
from vaults import vault

from api.admission import Admission
from api.app import create_app
from api.backlog import Backlog
from api.door import Door
from api.hearing import Hearing
from api.lanes import Lanes
from api.notify import Notify
from api.parts import Parts
from api.requests import Reader
from api.server import limiting_of
from api.terms import Terms
from api.webhook import Webhook
from domain.limits import Limits
from ledger.intake import Intake
from ledger.provider_switches import switches
from ledger.scoped import Ledgers
from providers.registry import Installed
from runs import Runs, connect
from settings import Settings
from throttle.opened import open_gates

OPENED = AsyncExitStack()  # what `parts_with` opened: a fixture closes it after each test
NOTHING = Installed(CHANNELS, {}, {})


async def parts_with(settings: Settings, here: Installed = NOTHING) -> Parts:
    """What handlers need; if nothing else is said with all of the channels and none of the vendors."""
    ledgers = Ledgers(settings.required("database_url"), vault())
    OPENED.push_async_callback(ledgers.close)
    cards = [provider.card for provider in here.providers.values()]
    opening = open_gates(settings, cards, partial(switches, ledgers.operate), here.channels.values())
    gates = await OPENED.enter_async_context(opening)
    runs = Runs(await connect(settings))
    terms = Terms(ledgers.operate, Limits())
    intake = Intake(ledgers.intake, here.channels, cap=512, weight_of=terms.weight, keeps_text=terms.keeps_text)
    lanes = Lanes(intake, runs, max_batch=512, bound=1000, weight_of=terms.weight)
    hearing = Hearing(ledgers.receipts, runs, gates.watch)
    return Parts(ledgers, runs, here.channels, here.providers, here.left_out, settings, terms, lanes, hearing, gates)


async def door_of(parts: Parts, backlog: Backlog | None = None) -> Door:
    """The whole API: the hot paths with their limits, and FastAPI behind them."""
    limiting = await OPENED.enter_async_context(limiting_of(parts))
    admission = Admission(parts.ledgers.intake, parts.lanes, backlog or Backlog(parts.db, CHANNELS, limit=100_000))
    notify = Notify(Reader(CHANNELS, b"secret"), admission, limiting)
    return Door(create_app(parts), parts, notify, Webhook({}, parts.hearing))


@asynccontextmanager
async def client_of(
    parts: Parts, *, key: str | None = None, host: str = "192.0.2.1", app: FastAPI | Door | None = None
) -> AsyncIterator[AsyncClient]:
    """A caller at this address."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = ASGITransport(app or create_app(parts), client=(host, 4711), raise_app_exceptions=True)
    async with AsyncClient(transport=transport, base_url="http://clarion.test", headers=headers) as client:
        yield client


async def readiness(client: AsyncClient) -> Response:
    """GET /readyz once every part has answered in time: a busy machine may answer late, which looks like away."""
    async with asyncio.timeout(60):
        answer = await client.get("/readyz")
        while any(part["state"] != "ok" for part in answer.json()["parts"].values()):
            answer = await client.get("/readyz")
    return answer

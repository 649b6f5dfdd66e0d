"""One API process: its parts, the dispatcher in front of FastAPI, and a stop that loses nothing."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import uvicorn

from api.admission import Admission
from api.app import create_app
from api.backlog import Backlog
from api.door import Door
from api.hearing import Hearing
from api.lanes import Lanes
from api.limiting import Limiting
from api.notify import Notify
from api.parts import Parts
from api.requests import Reader
from api.terms import Terms
from api.webhook import Webhook
from domain.limits import Limits, changed
from ledger.intake import Intake
from ledger.keyring import keyring_of
from ledger.provider_switches import switches
from ledger.scoped import Ledgers
from ledger.tenants import ensure_dev
from ledger.vault import Vault
from observe import logs, traces
from observe.exposition import serve as serve_metrics
from observe.process import beside, calm_gc
from providers.registry import installed
from runs import Runs, connect
from settings import Settings, SettingsError
from settings.tls import server_context
from throttle.limits import Limiter
from throttle.opened import open_gates
from throttle.redis import connect as connect_redis

log = logs.get(__name__)

# Seconds that an idle connection stays. Proxies keep theirs for 60 s as a rule: whoever closes first here would now and
# then close under a request that is on its way, and no proxy repeats a POST.
_KEEP_ALIVE = 75


class _Server(uvicorn.Server):
    """Leaves signals to us: the lanes have to be emptied after the last request and before the end."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Uvicorn calls it; it ends the process itself when the port is taken."""
        await super().startup(sockets)
        self.listens.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn calls it around serving."""
        yield


@asynccontextmanager
async def parts_of(settings: Settings) -> AsyncGenerator[Parts]:
    """Everything the handlers need, open inside the block. Raises SettingsError."""
    async with AsyncExitStack() as stack:
        ledgers = Ledgers(settings.required("database_url"), Vault(keyring_of(settings)))
        stack.push_async_callback(ledgers.close)
        here = installed(settings.channels)
        stack.push_async_callback(here.close)
        client = await connect(settings, traces.temporal_interceptors())
        runs = Runs(client)
        cards = [provider.card for provider in here.providers.values()]
        opening = open_gates(settings, cards, partial(switches, ledgers.operate), here.channels.values())
        gates = await stack.enter_async_context(opening)
        first = gates.standing.first
        terms = Terms(ledgers.operate, usual_limits(settings))
        weight = terms.weight if settings.fairness else None
        intake = Intake(
            ledgers.intake,
            here.channels,
            cap=settings.max_batch,
            first=first,
            invent=settings.dev,
            weight_of=weight,
            secret=settings.secret,
            keeps_text=terms.keeps_text,
        )
        lanes = Lanes(intake, runs, max_batch=settings.max_batch, bound=settings.lane_bound, weight_of=weight)
        stack.push_async_callback(lanes.close)
        hearing = Hearing(ledgers.receipts, runs, gates.watch)
        stack.push_async_callback(hearing.close)
        if settings.dev:
            await ensure_dev(ledgers.operate)
        yield Parts(ledgers, runs, here.channels, here.providers, here.left_out, settings, terms, lanes, hearing, gates)


@asynccontextmanager
async def limiting_of(parts: Parts) -> AsyncGenerator[Limiting]:
    """What holds tenants to their limits, inside the block. Raises SettingsError."""
    redis = connect_redis(parts.settings.required("redis_url"))
    secret = parts.settings.secret
    try:
        yield Limiting(parts.terms, Limiter(redis), parts.channels, secret)
    finally:
        await redis.aclose()


def usual_limits(settings: Settings) -> Limits:
    """What a tenant may send if nothing else is said of it. Raises SettingsError."""
    try:
        return changed(Limits(), settings.limits)
    except ValueError as error:
        raise SettingsError(f"CLARION_LIMITS: {error}") from None


@asynccontextmanager
async def open_door(settings: Settings) -> AsyncGenerator[tuple[Door, Parts]]:
    """The whole API as an ASGI application, open inside the block, and its parts. Raises SettingsError."""
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(parts_of(settings))
        backlog = Backlog(parts.db, parts.channels, limit=settings.backlog_limit, fair=settings.fairness)
        await parts.terms.read()
        await stack.enter_async_context(beside(backlog.watch(), parts.auth.keep_notes(), parts.terms.keep()))
        reader = Reader(parts.channels, settings.secret)
        limiting = await stack.enter_async_context(limiting_of(parts))
        notify = Notify(reader, Admission(parts.ledgers.intake, parts.lanes, backlog), limiting)
        yield Door(create_app(parts), parts, notify, Webhook(parts.providers, parts.hearing)), parts


@asynccontextmanager
async def running_api(settings: Settings) -> AsyncIterator[str]:
    """An API that answers inside the block: its base URL."""
    async with open_door(settings) as (door, parts):
        server = _Server(
            uvicorn.Config(
                door,
                host=settings.host,
                port=settings.port,
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ssl_context_factory=(lambda *_: tls) if (tls := server_context(settings)) else None,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=10,
            )
        )
        serving = asyncio.create_task(server.serve())
        try:
            listens = asyncio.create_task(server.listens.wait())
            await asyncio.wait({serving, listens}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                await serving
            async with beside(parts.hearing.keep_open()):
                yield settings.listens_at
        finally:
            server.should_exit = True
            await serving


async def serve(settings: Settings, *, metrics_port: int | None = None) -> None:
    """Run until SIGTERM or SIGINT. Raises SettingsError."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        if metrics_port is not None:
            stack.callback(serve_metrics(metrics_port, settings.host).close)
        url = await stack.enter_async_context(running_api(settings))
        calm_gc()
        log.info("api.ready", url=url)
        await stop.wait()
        log.info("api.stopping")
    await asyncio.to_thread(traces.shutdown)
    # Temporal's threads come to rest: an interpreter that ends under them crashes (PyGILState_Release).
    await asyncio.sleep(0.25)

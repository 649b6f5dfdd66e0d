"""Starts and stops the sandbox: its HTTP and SMTP doors, its log, its postman."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox.app import App
from sandbox.credentials import load_or_create
from sandbox.frontdesk import FrontDesk
from sandbox.journal import Journal
from sandbox.postman import Postman
from sandbox.shared import Shared
from sandbox.vendors import smtp
from sandbox.vendors.base import HttpVendor
from sandbox.vendors.fcm import Fcm
from sandbox.vendors.sendgrid import SendGrid
from sandbox.vendors.ses import Ses
from sandbox.vendors.smtp import Smtp
from sandbox.vendors.sns import Sns
from sandbox.vendors.topic import Topic
from sandbox.vendors.twilio import Twilio

_FLUSH = 0.05  # seconds between two writes of the log


@dataclass(frozen=True, slots=True)
class Place:
    """Where the sandbox lives. Port 0: a free one. Webhooks go to `{callback_url}/{vendor}`."""

    host: str
    port: int
    smtp_port: int
    data_dir: Path
    callback_url: str


class _Protocol(HttpToolsProtocol):
    """Lets the application cut the connection under an answer, which ASGI has no word for."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["sandbox.transport"] = self.transport  # type: ignore[typeddict-unknown-key]


class _Server(uvicorn.Server):
    """Ends with exit code 0 at SIGTERM and SIGINT, and says when it can be called."""

    def __init__(self, app: App, ready: Callable[[], None]) -> None:
        super().__init__(_config(app))
        self._app = app
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.hang_up()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def serve(place: Place, announce: Callable[[int, int], None]) -> None:
    """Run until SIGINT or SIGTERM. `announce(port, smtp_port)` is called once both doors are open.

    Raises OSError when a port is taken or the data folder cannot be written.
    """
    with (
        socket.create_server((place.host, place.port), backlog=2048) as door,
        socket.create_server((place.host, place.smtp_port)) as mail_door,
    ):
        async with _shared(place.data_dir, place.callback_url) as shared:
            topic = Topic(shared)
            made: list[HttpVendor] = [
                SendGrid(shared),
                Ses(shared, topic),
                Sns(shared, topic),
                Twilio(shared),
                Fcm(shared),
            ]
            vendors = {vendor.name: vendor for vendor in made}
            mail = Smtp(shared)
            app = App(vendors, FrontDesk(shared, {**vendors, mail.name: mail}))
            async with smtp.listening(mail, mail_door):
                ports = door.getsockname()[1], mail_door.getsockname()[1]
                await _Server(app, lambda: announce(*ports)).serve([door])


def _config(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        interface="asgi3",
        lifespan="off",
        access_log=False,
        log_level="error",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )


@asynccontextmanager
async def _shared(data_dir: Path, callback_url: str) -> AsyncIterator[Shared]:
    shared = Shared(data_dir, load_or_create(data_dir), Journal(data_dir), Postman(), callback_url.rstrip("/"))
    await shared.postman.open()
    writer = asyncio.create_task(_write_log(shared.journal))
    try:
        yield shared
    finally:
        writer.cancel()
        await shared.postman.close()
        shared.journal.close()


async def _write_log(journal: Journal) -> None:
    while True:
        await asyncio.sleep(_FLUSH)
        journal.flush()

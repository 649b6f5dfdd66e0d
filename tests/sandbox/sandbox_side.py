"""A running sandbox and the place it calls back, for its tests."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from sandbox.credentials import Credentials, load_or_create

PATIENT = 50.0  # seconds: for what comes at once on a fast machine; less than the 60 that stand for never (`gather`)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def is_never_answered(call: asyncio.Future[Any]) -> None:
    """Nor is it within half a second. Then the caller gives up."""
    await asyncio.wait([call], timeout=0.5)
    assert not call.done()
    call.cancel()
    await asyncio.wait([call])


@dataclass(frozen=True)
class Hook:
    """One webhook call as it came in."""

    url: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Takes webhook calls and answers them with the next of `answers`, then 200."""

    url: str = ""
    hooks: list[Hook] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)  # whoever holds it keeps calls without an answer
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.hooks.append(Hook(str(request.url), request.path, headers, await request.read()))
        self._news.set()
        async with self.busy:
            pass
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    async def wait(self, count: int, path: str = "") -> list[Hook]:
        """The hooks below `path`, once there are `count`."""
        await self.wait_for(lambda: len(self._below(path)) >= count)
        return self._below(path)

    async def wait_for(self, wanted: Callable[[], bool], seconds: float = PATIENT) -> None:
        """Until it holds; looked at after each hook."""
        async with asyncio.timeout(seconds):
            while not wanted():
                self._news.clear()
                await self._news.wait()

    def _below(self, path: str) -> list[Hook]:
        return [hook for hook in self.hooks if hook.path.endswith(path)]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox."""

    url: str
    smtp_port: int
    data_dir: Path
    pid: int
    session: aiohttp.ClientSession

    @property
    def credentials(self) -> Credentials:
        return load_or_create(self.data_dir)

    @property
    def environment(self) -> dict[str, str]:
        return self.credentials.environment(self.url, self.smtp_port)

    async def settings(self, vendor: str, **settings: Any) -> None:
        async with self.session.put(f"{self.url}/control/{vendor}", json=settings) as answer:
            assert answer.status == 200, await answer.text()

    async def rules(self, vendor: str, *rules: dict[str, Any]) -> None:
        await self.settings(vendor, rules=rules)

    async def log(self, vendor: str = "") -> list[dict[str, Any]]:
        async with self.session.get(f"{self.url}/log", params={"vendor": vendor}) as answer:
            assert answer.status == 200, await answer.text()
            return (await answer.json())["data"]

    async def logged(self, vendor: str, least: int) -> list[dict[str, Any]]:
        """The log, once it has so many lines."""
        async with asyncio.timeout(PATIENT):
            while len(lines := await self.log(vendor)) < least:
                await asyncio.sleep(0.02)
        return lines

    async def counts(self, vendor: str) -> dict[str, int]:
        async with self.session.get(f"{self.url}/log/counts") as answer:
            return (await answer.json())[vendor]

    async def counted(self, vendor: str, name: str, least: int) -> dict[str, int]:
        """The counts, once one of them is there: it moves a moment after what it counts."""
        async with asyncio.timeout(PATIENT):
            while (counts := await self.counts(vendor))[name] < least:
                await asyncio.sleep(0.02)
        return counts

    async def reset(self, callback_url: str) -> None:
        for path in ("/control", "/log"):
            async with self.session.delete(f"{self.url}{path}") as answer:
                assert answer.status == 204
        async with self.session.put(f"{self.url}/control", json={"callback_url": callback_url}) as answer:
            assert answer.status == 200

    def mail(self, *addresses: str, **changes: Any) -> Awaitable[aiohttp.ClientResponse]:
        """A SendGrid call: one personalization an address."""
        people = [
            {"to": [{"email": address}], "custom_args": {"clarion_key": f"key.{index}"}}
            for index, address in enumerate(addresses)
        ]
        body = {
            "personalizations": people,
            "from": {"email": "shop@example.com"},
            "subject": "Hello",
            "content": [{"type": "text/plain", "value": "Hello there"}, {"type": "text/html", "value": "<p>Hello</p>"}],
            **changes,
        }
        headers = {"Authorization": f"Bearer {self.credentials.sendgrid_api_key}", "traceparent": TRACEPARENT}
        return self.session.post(f"{self.url}/sendgrid/v3/mail/send", json=body, headers=headers)


@asynccontextmanager
async def running(data_dir: Path, callback_url: str = "http://127.0.0.1:9/webhook") -> AsyncIterator[Sandbox]:
    """A sandbox in a process of its own, stopped cleanly in the end."""
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--smtp-port", "0", "--data-dir", str(data_dir)]
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        *command, "--callback-url", callback_url, stdout=subprocess.PIPE, cwd=root
    )
    try:
        assert process.stdout
        ports = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENT))
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENT)) as session:
            url = f"http://127.0.0.1:{ports['port']}"
            yield Sandbox(url, ports["smtp_port"], data_dir, process.pid, session)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), PATIENT) == 0

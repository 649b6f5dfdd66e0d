"""The vendors' side of the provider tests: a sandbox process, and what each vendor calls its errors."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from patience import PATIENT

from domain.ids import DeliveryId, SendKey, new_id
from domain.messages import Content, Message, Sender, Sent
from domain.outcomes import Outcome
from domain.priorities import Priority
from providers.base import Provider
from sandbox.credentials import load_or_create

TEXT = "Your code is 493817, dear Ada."
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass(frozen=True, slots=True)
class Vendor:
    """What a test must know of one vendor: an address of its kind, its answers, and where wrong credentials go."""

    name: str
    address: str
    wrong: Mapping[str, str]
    answers: Mapping[Outcome, tuple[int, ...]] = field(
        default_factory=lambda: {
            Outcome.REJECTED: (400,),
            Outcome.RETRYABLE: (503,),
            Outcome.THROTTLED: (429,),
            Outcome.VENDOR_DOWN: (401,),
            Outcome.IN_DOUBT: (502, 504),
        }
    )


_AWS = {
    Outcome.REJECTED: (400,),
    Outcome.RETRYABLE: (503,),
    Outcome.THROTTLED: (429,),
    Outcome.VENDOR_DOWN: (403,),
    Outcome.IN_DOUBT: (500, 502, 504),
}
_SMTP = {
    Outcome.REJECTED: (550, 552, 554),
    Outcome.RETRYABLE: (450, 451, 452),
    Outcome.THROTTLED: (421,),
    Outcome.VENDOR_DOWN: (530,),
}
MAIL, PHONE, TOKEN = "ada.lovelace@example.com", "+14155550123", "ada-lovelace-device-token"
VENDORS = {
    vendor.name: vendor
    for vendor in (
        Vendor("sendgrid", MAIL, {"CLARION_SENDGRID_API_KEY": "SG.wrong"}),
        Vendor("ses", MAIL, {"CLARION_SES_SECRET_ACCESS_KEY": "wrong"}, _AWS),
        Vendor("smtp", MAIL, {"CLARION_SMTP_PASSWORD": "wrong"}, _SMTP),
        Vendor("twilio", PHONE, {"CLARION_TWILIO_AUTH_TOKEN": "wrong"}),
        Vendor("sns", PHONE, {"CLARION_SNS_SECRET_ACCESS_KEY": "wrong"}, _AWS),
        Vendor("fcm", TOKEN, {"CLARION_FCM_CREDENTIALS": "another service account"}),
    )
}


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox, and the settings that lead to it."""

    url: str
    smtp_port: int
    data_dir: Path

    def environment(self) -> dict[str, str]:
        """The settings of providers for this sandbox."""
        return load_or_create(self.data_dir).environment(self.url, self.smtp_port)

    async def rule(self, vendor: str, **rule: Any) -> None:
        """One rule for every call to this vendor."""
        await self._call("PUT", f"/control/{vendor}", {"rules": [rule]})

    async def settings(self, vendor: str, **settings: Any) -> None:
        """The settings of this vendor, whole."""
        await self._call("PUT", f"/control/{vendor}", settings)

    async def calls_back(self, url: str) -> None:
        """Where webhooks go."""
        await self._call("PUT", "/control", {"callback_url": url})

    async def reset(self) -> None:
        """No rules, no memory."""
        await self._call("DELETE", "/control")
        await self._call("DELETE", "/log")

    async def log(self, vendor: str) -> list[dict[str, Any]]:
        """What this vendor took."""
        return (await self._call("GET", f"/log?vendor={vendor}"))["data"]

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        async with (
            aiohttp.ClientSession(self.url) as session,
            session.request(method, path, json=body) as response,
        ):
            assert response.status < 300, await response.text()
            return await response.json() if response.status != 204 else None


@contextmanager
def running_sandbox(data_dir: Path) -> Iterator[Sandbox]:
    """A sandbox in a process of its own, on free ports."""
    nowhere = "http://127.0.0.1:9/webhook"  # discard: nobody listens
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--smtp-port", "0", "--data-dir", str(data_dir)]
    root = Path(__file__).parents[2]
    with subprocess.Popen([*command, "--callback-url", nowhere], stdout=subprocess.PIPE, cwd=root) as process:
        try:
            assert process.stdout
            ports = json.loads(process.stdout.readline())
            yield Sandbox(f"http://127.0.0.1:{ports['port']}", ports["smtp_port"], data_dir)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENT)
            except subprocess.TimeoutExpired:
                process.kill()


def message(address: str, **changes: Any) -> Message:
    """One message with a key of its own."""
    fields: dict[str, Any] = {
        "key": SendKey(DeliveryId(new_id(), 7), 3),
        "address": address,
        "content": Content(text=TEXT, subject="Ada's code", html=f"<p>{TEXT}</p>", title="Code", data={"n": 1}),
        "sender": Sender(),
        "priority": Priority.HIGH,
        "callback": "http://127.0.0.1:9/webhook",
        "headers": {"traceparent": TRACEPARENT},
    }
    return Message(**{**fields, **changes})


def unanswered(message: Message, *, age: float = 60, quiet: float = 0) -> Sent:
    """The same, as one asks about it."""
    return Sent(message.key, message.address, message.content, message.sender, age, quiet)


def clarion_variables() -> list[str]:
    """The settings that happen to be set here: tests start without them."""
    return [name for name in os.environ if name.startswith("CLARION_")]


Make = Callable[..., Provider]  # the fixture `make`


@dataclass
class OneAnswer:
    """An HTTP server that gives one answer to everything, and keeps what it was sent."""

    runners: list[web.AppRunner] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, status: int, body: bytes, headers: dict[str, str]) -> str:
        """Start it; returns its URL."""

        async def answer(request: web.Request) -> web.Response:
            self.bodies.append(await request.read())
            return web.Response(status=status, body=body, headers=headers)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app)
        self.runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

"""The HTTP client all vendors share: which failure happened before the request left, and which after."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from vendor_side import PATIENT, OneAnswer
from yarl import URL

from domain.outcomes import Answer, Outcome
from providers.http import Http, Reply
from providers.sms.twilio import TwilioSettings
from settings import SettingsError

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _server(handle: Handler) -> AsyncIterator[URL]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await handle(reader, writer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield URL(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/")
    finally:
        listening.close()
        await listening.wait_closed()


async def _call(url: URL, timeout: float = PATIENT) -> Reply | Answer:
    http = Http()
    try:
        return await http.call("POST", url, {"X-Test": "1"}, timeout, b"body")
    finally:
        await http.close()


async def _answer_with(text: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"body")
        writer.write(text)
        await writer.drain()

    return handle


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"gibberish\r\n\r\n",
    ],
)
async def test_an_answer_that_breaks_off_or_is_none_is_a_doubt(text: bytes) -> None:
    async with _server(await _answer_with(text)) as url:
        answer = await _call(url)
    assert isinstance(answer, Answer)
    assert answer.outcome is Outcome.IN_DOUBT
    assert answer.reason
    assert "127" not in answer.reason


async def test_a_reset_connection_is_a_doubt() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"body")
        writer.transport.abort()

    async with _server(handle) as url:
        answer = await _call(url)
    assert isinstance(answer, Answer)
    assert answer.outcome is Outcome.IN_DOUBT


async def test_an_answer_that_drips_is_cut_in_time() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"body")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with _server(handle) as url:
        answer = await _call(url, timeout=3)  # the whole would take 50
    assert isinstance(answer, Answer)
    assert answer.outcome is Outcome.IN_DOUBT


async def test_no_tls_where_it_is_wanted_means_the_vendor_is_down() -> None:
    async with _server(await _answer_with(b"HTTP/1.1 200 OK\r\n\r\n")) as url:
        answer = await _call(url.with_scheme("https"), timeout=1)  # the server waits for more, and says nothing
    assert isinstance(answer, Answer)
    assert answer.outcome is Outcome.VENDOR_DOWN


async def test_a_redirect_is_not_followed(one_answer: OneAnswer) -> None:
    there = await one_answer(200, b"", {})
    here = await one_answer(307, b"", {"Location": there})
    reply = await _call(URL(here))
    assert isinstance(reply, Reply)
    assert reply.status == 307
    assert len(one_answer.bodies) == 1


async def test_a_closed_client_opens_again(one_answer: OneAnswer) -> None:
    url = URL(await one_answer(204, b"", {}))
    http = Http()
    for _ in range(2):
        reply = await http.call("GET", url, {}, PATIENT)
        assert isinstance(reply, Reply)
        await http.close()
    await http.close()


@pytest.mark.parametrize("url", ["api.twilio.com", "ftp://api.twilio.com", "http://", "/twilio"])
def test_a_url_that_is_none_is_a_wrong_setting(url: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CLARION_TWILIO_URL", url)
    environment.setenv("CLARION_TWILIO_ACCOUNT_SID", "AC1")
    environment.setenv("CLARION_TWILIO_AUTH_TOKEN", "t")
    with pytest.raises(SettingsError, match="CLARION_TWILIO_URL"):
        TwilioSettings.load()

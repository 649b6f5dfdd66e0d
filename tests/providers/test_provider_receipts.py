"""Receipts as the sandbox's vendors sign and post them: believed when genuine, refused otherwise."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from vendor_side import PATIENT, VENDORS, Make, Sandbox, Vendor, message

from domain.receipts import Receipt, Report
from providers.base import Call, Forged, Malformed, Provider
from sandbox.credentials import load_or_create

REPORTING = [pytest.param(VENDORS[name], id=name) for name in ("sendgrid", "twilio", "ses")]
FUZZ = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@dataclass
class Mailbox:
    """A webhook endpoint that keeps what is posted to it."""

    url: str = ""
    calls: asyncio.Queue[Call] = field(default_factory=asyncio.Queue)

    async def take(self, request: web.Request) -> web.Response:
        """Keep one call, as the API hands it on: names in lower case, the URL as it was called."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        await self.calls.put(Call(str(request.url), headers, await request.read()))
        return web.Response()

    async def next(self) -> Call:
        """The next call, with patience."""
        return await asyncio.wait_for(self.calls.get(), PATIENT)


@pytest_asyncio.fixture
async def mailbox(vendors: Sandbox) -> AsyncIterator[Mailbox]:
    box = Mailbox()
    app = web.Application()
    app.router.add_post("/webhook/{vendor}", box.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    box.url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhook"
    await vendors.calls_back(box.url)
    yield box
    await runner.cleanup()


async def _read_all(provider: Provider, mailbox: Mailbox, wanted: int) -> list[Receipt]:
    found: list[Receipt] = []
    while len(found) < wanted:
        found += await provider.receipts(await mailbox.next())
    return found


async def _reporting_call(provider: Provider, mailbox: Mailbox) -> Call:
    """The first call that reports something (SES confirms its subscription first; others say `sent` first)."""
    while True:
        call = await mailbox.next()
        if await provider.receipts(call):
            return call


class TestEveryReportingProvider:
    @pytest.mark.parametrize("report", [Report.DELIVERED, Report.UNDELIVERED])
    @pytest.mark.parametrize("vendor", REPORTING)
    async def test_reads_what_became_of_a_send(
        self, vendor: Vendor, report: Report, make: Make, vendors: Sandbox, mailbox: Mailbox
    ) -> None:
        await vendors.rule(vendor.name, receipt={"report": str(report)})
        provider = make(vendor.name)
        sent = message(vendor.address, callback=mailbox.url)
        (answer,) = await provider.send([sent], PATIENT)
        (receipt,) = await _read_all(provider, mailbox, 1)
        assert receipt.provider == vendor.name
        assert receipt.report is report
        assert receipt.key == sent.key
        assert receipt.message_id == answer.message_id
        assert bool(receipt.reason) is (report is Report.UNDELIVERED)
        assert "ada" not in str(receipt.reason)
        assert receipt.occurred_at.tzinfo is not None

    @pytest.mark.parametrize("vendor", REPORTING)
    async def test_a_repeat_has_the_same_event_id_and_another_send_another(
        self, vendor: Vendor, make: Make, vendors: Sandbox, mailbox: Mailbox
    ) -> None:
        provider = make(vendor.name)
        events: list[list[str]] = []
        for _ in range(2):
            await provider.send([message(vendor.address, callback=mailbox.url)], PATIENT)
            call = await _reporting_call(provider, mailbox)
            first, again = [await provider.receipts(call) for _ in range(2)]
            assert [one.event_id for one in first] == [one.event_id for one in again]
            events.append([one.event_id for one in first])
        assert events[0] != events[1]

    @pytest.mark.parametrize("vendor", REPORTING)
    async def test_a_forged_call_is_refused(
        self, vendor: Vendor, make: Make, vendors: Sandbox, mailbox: Mailbox
    ) -> None:
        provider = make(vendor.name)
        await provider.send([message(vendor.address, callback=mailbox.url)], PATIENT)
        await _reporting_call(provider, mailbox)
        await vendors.rule(vendor.name, receipt={"report": "delivered", "forged": True})
        await provider.send([message(vendor.address, callback=mailbox.url)], PATIENT)
        with pytest.raises(Forged):
            await provider.receipts(await mailbox.next())

    @pytest.mark.parametrize("vendor", REPORTING)
    async def test_another_accounts_call_is_refused(
        self, vendor: Vendor, make: Make, vendors: Sandbox, mailbox: Mailbox, tmp_path: Path
    ) -> None:
        provider = make(vendor.name)
        await provider.send([message(vendor.address, callback=mailbox.url)], PATIENT)
        call = await _reporting_call(provider, mailbox)
        other = load_or_create(tmp_path / "other").environment(vendors.url, vendors.smtp_port)
        other["CLARION_SES_TOPIC_ARN"] = "arn:aws:sns:us-east-1:999999999999:another"
        with pytest.raises(Forged):
            await make(vendor.name, **other).receipts(call)

    @pytest.mark.parametrize(
        ("name", "age"), [("sendgrid", 25 * 3600), ("ses", 3700), ("sendgrid", -400), ("ses", -400)]
    )
    async def test_an_old_call_or_one_of_tomorrow_is_refused(
        self, name: str, age: float, make: Make, vendors: Sandbox, mailbox: Mailbox
    ) -> None:
        provider = make(name)
        await provider.send([message(VENDORS[name].address)], PATIENT)
        await _reporting_call(provider, mailbox)
        await vendors.rule(name, clock_skew=-age)
        await provider.send([message(VENDORS[name].address)], PATIENT)
        with pytest.raises(Forged, match="too far"):
            await provider.receipts(await mailbox.next())

    @pytest.mark.parametrize("vendor", REPORTING)
    async def test_a_changed_byte_is_noticed(
        self, vendor: Vendor, make: Make, vendors: Sandbox, mailbox: Mailbox
    ) -> None:
        provider = make(vendor.name)
        await provider.send([message(vendor.address, callback=mailbox.url)], PATIENT)
        call = await _reporting_call(provider, mailbox)
        genuine = [replace(receipt, occurred_at=None) for receipt in await provider.receipts(call)]  # type: ignore[arg-type]

        @FUZZ
        @given(place=st.integers(0, len(call.body) - 1), byte=st.integers(0, 255), drop=st.booleans())
        def change(place: int, byte: int, drop: bool) -> None:
            body = call.body[:place] + (b"" if drop else bytes([byte])) + call.body[place + 1 :]
            try:
                read = _finished(provider, replace(call, body=body))
            except (Forged, Malformed):  # nothing is written
                return
            # What is not signed (spaces in JSON, `%2b` for `%2B`) may change, what it says may not. Twilio signs names
            # and values without separators: a lost `=` leaves the signature good and the call without that field.
            said = [replace(receipt, occurred_at=None) for receipt in read]  # type: ignore[arg-type]
            assert said == genuine or (name == "twilio" and not said)

        name = vendor.name
        await asyncio.to_thread(change)

    @pytest.mark.parametrize("vendor", REPORTING)
    async def test_rubbish_is_refused_and_never_breaks(self, vendor: Vendor, make: Make) -> None:
        provider = make(vendor.name)
        names = (
            "x-twilio-email-event-webhook-signature",
            "x-twilio-email-event-webhook-timestamp",
            "x-twilio-signature",
        )
        numbers = st.sampled_from(["1e99", "-1", "nan", "9" * 400, "١٢٣", str(2**63)])
        values = st.text(max_size=40) | numbers
        documents = st.recursive(
            st.none() | st.text(max_size=9), lambda inner: st.lists(inner) | _envelopes(inner), max_leaves=5
        )

        @FUZZ
        @given(
            url=st.text(max_size=30) | st.sampled_from(["http://[", "http://a:b/?key=1", "http://a:99999/"]),
            headers=st.fixed_dictionaries({}, optional=dict.fromkeys(names, values)),
            body=st.binary(max_size=60) | documents.map(_json),
        )
        @example(url="http://a/", headers={}, body=b"[" * 100_000)
        def feed(url: str, headers: dict[str, str], body: bytes) -> None:
            with pytest.raises((Forged, Malformed)):
                _finished(provider, Call(url, headers, body))

        await asyncio.to_thread(feed)


def _finished(provider: Provider, call: Call) -> list[Receipt]:
    """Read without a loop: for calls that need nothing from the network."""
    coroutine = provider.receipts(call)
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration as stop:
        return list(stop.value)
    raise AssertionError("it wanted to wait")


def _json(value: object) -> bytes:
    return orjson.dumps(value)


def _envelopes(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    names = ("Type", "TopicArn", "SigningCertURL", "Signature", "SignatureVersion", "Message", "Timestamp", "MessageId")
    return st.dictionaries(st.sampled_from(names), inner)

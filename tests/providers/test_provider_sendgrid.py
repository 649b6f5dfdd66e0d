"""SendGrid alone: bulk calls, its events' fields, its own header of rate limits."""

import time
from collections.abc import Sequence
from contextlib import suppress

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vendor_side import MAIL, PATIENT, Make, OneAnswer, Sandbox, message

from bench.fuzz.signing import SendGridSigner
from domain.messages import Content, Sender
from domain.outcomes import Outcome
from domain.receipts import Receipt, Report
from domain.suppressions import Reason
from providers.base import Forged, Malformed, Provider
from settings import SettingsError

KEY = "019a1b2c-0000-7000-8000-000000000001.4.2"
EVENT = {
    "event": "delivered",
    "sg_event_id": "ZXZlbnQ",
    "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
    "timestamp": 1_700_000_000,
    "email": MAIL,
    "clarion_key": KEY,
}


@pytest.fixture
def signer() -> SendGridSigner:
    return SendGridSigner()


@pytest.fixture
def provider(make: Make, signer: SendGridSigner) -> Provider:
    return make("sendgrid", CLARION_SENDGRID_WEBHOOK_KEY=signer.webhook_key)


async def _read(provider: Provider, signer: SendGridSigner, content: object) -> Sequence[Receipt]:
    return await provider.receipts(signer.call(orjson.dumps(content)))


async def test_a_bulk_call_of_1000_has_a_key_for_each(make: Make, vendors: Sandbox) -> None:
    await vendors.rule("sendgrid", receipt={"report": "none"})
    sent = [message(f"user{number}@example.com") for number in range(1000)]
    answers = await make("sendgrid").send(sent, PATIENT)
    assert [answer.outcome for answer in answers] == [Outcome.ACCEPTED] * 1000
    taken = {line["to"]: line["key"] for line in await vendors.log("sendgrid")}
    assert taken == {one.address: str(one.key) for one in sent}


async def test_a_bulk_call_shares_its_fate(make: Make, vendors: Sandbox) -> None:
    await vendors.rule("sendgrid", answer={"status": 500})
    answers = await make("sendgrid").send([message(MAIL), message(MAIL)], PATIENT)
    assert [answer.outcome for answer in answers] == [Outcome.RETRYABLE] * 2


@pytest.mark.parametrize(
    ("retry_after", "reset_in", "least", "most"),
    [
        (None, 300, 240, 300),
        (None, -30, 1, 1),
        (None, 99_999, 3600, 3600),
        (None, None, 1, 1),
        ("5", 30, 5, 5),
        ("-5", None, 1, 1),
        ("nan", None, 1, 1),
        ("soon", None, 1, 1),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None, 1, 1),
        ("Fri, 31 Dec 2999 23:59:59 GMT", None, 3600, 3600),
    ],
)
async def test_a_throttle_ends_when_sendgrid_says(
    retry_after: str | None, reset_in: int | None, least: float, most: float, make: Make, one_answer: OneAnswer
) -> None:
    headers = {"Retry-After": retry_after} if retry_after else {}
    if reset_in is not None:
        headers["X-RateLimit-Reset"] = str(int(time.time()) + reset_in)
    url = await one_answer(429, b"", headers)
    (answer,) = await make("sendgrid", CLARION_SENDGRID_URL=url).send([message(MAIL)], PATIENT)
    assert answer.outcome is Outcome.THROTTLED
    assert answer.retry_after is not None
    assert least <= answer.retry_after <= most


@pytest.mark.parametrize(
    ("status", "body", "outcome", "reason"),
    [
        (403, {"errors": [{"field": "from", "message": f"{MAIL} is not verified"}]}, Outcome.RETRYABLE, "403 from"),
        (403, {"errors": [{"field": None, "message": "access forbidden"}]}, Outcome.VENDOR_DOWN, "403"),
        (400, {"errors": [{"field": MAIL, "message": MAIL}]}, Outcome.REJECTED, "400"),
        (400, {"errors": [{"field": "personalizations.0.to"}]}, Outcome.REJECTED, "400 personalizations.0.to"),
        (400, {"errors": MAIL}, Outcome.REJECTED, "400"),
        (413, [], Outcome.REJECTED, "413"),
        (404, None, Outcome.VENDOR_DOWN, "404"),
        (301, None, Outcome.VENDOR_DOWN, "301"),
        (200, None, Outcome.IN_DOUBT, "200"),
        (599, None, Outcome.IN_DOUBT, "599"),
    ],
)
async def test_an_error_is_told_by_its_code_and_field_alone(
    status: int, body: object, outcome: Outcome, reason: str, make: Make, one_answer: OneAnswer
) -> None:
    url = await one_answer(status, orjson.dumps(body), {})
    (answer,) = await make("sendgrid", CLARION_SENDGRID_URL=url).send([message(MAIL)], PATIENT)
    assert (answer.outcome, answer.reason) == (outcome, reason)


async def test_the_wire_format(make: Make, one_answer: OneAnswer) -> None:
    sent = message(MAIL, sender=Sender(email="Ada <ada@tenant.example>", reply_to="reply@tenant.example"))
    await make("sendgrid", CLARION_SENDGRID_URL=await one_answer(202, b"", {})).send([sent], PATIENT)
    assert orjson.loads(one_answer.bodies[0]) == {
        "personalizations": [{"to": [{"email": MAIL}], "custom_args": {"clarion_key": str(sent.key)}}],
        "from": {"email": "ada@tenant.example", "name": "Ada"},
        "reply_to": {"email": "reply@tenant.example"},
        "subject": "Ada's code",
        "content": [
            {"type": "text/plain", "value": sent.content.text},
            {"type": "text/html", "value": sent.content.html},
        ],
    }


async def test_a_text_alone_gets_its_beginning_as_subject(make: Make, one_answer: OneAnswer) -> None:
    text = "Hello\r\nBcc: everybody@example.com " + "word " * 40
    provider = make("sendgrid", CLARION_SENDGRID_URL=await one_answer(202, b"", {}))
    await provider.send([message(MAIL, content=Content(text=text))], PATIENT)
    mail = orjson.loads(one_answer.bodies[0])
    assert mail["subject"].startswith("Hello Bcc: everybody@example.com word")
    assert len(mail["subject"]) <= 78
    assert mail["content"] == [{"type": "text/plain", "value": text}]


class TestEvents:
    async def test_each_kind_that_matters_and_no_other(self, provider: Provider, signer: SendGridSigner) -> None:
        kinds = ("processed", "deferred", "delivered", "bounce", "dropped", "open", "click", "spamreport", "new")
        read = await _read(provider, signer, [{**EVENT, "event": kind, "sg_event_id": kind} for kind in kinds])
        assert {receipt.event_id: receipt.report for receipt in read} == {
            "delivered": Report.DELIVERED,
            "bounce": Report.UNDELIVERED,
            "dropped": Report.UNDELIVERED,
            "spamreport": Report.OPTED_OUT,
        }
        assert all(str(receipt.key) == KEY and receipt.message_id == "14c5d75ce93" for receipt in read)

    @pytest.mark.parametrize(
        ("fields", "suppress"),
        [
            ({"event": "bounce", "type": "bounce"}, Reason.HARD_BOUNCE),
            ({"event": "bounce", "type": "blocked"}, None),
            ({"event": "dropped", "reason": "Unsubscribed Address"}, Reason.UNSUBSCRIBE),
            ({"event": "dropped", "reason": "Spam Content"}, None),
            ({"event": "dropped", "reason": ["x"]}, None),
            ({"event": "group_unsubscribe"}, Reason.UNSUBSCRIBE),
            ({"event": "spamreport"}, Reason.COMPLAINT),
            ({"event": "delivered"}, None),
        ],
    )
    async def test_what_an_event_says_about_the_address(
        self, fields: dict[str, object], suppress: Reason | None, provider: Provider, signer: SendGridSigner
    ) -> None:
        (receipt,) = await _read(provider, signer, [{**EVENT, **fields}])
        assert receipt.suppress is suppress

    async def test_a_reason_keeps_codes_and_leaves_out_what_quotes_people(
        self, provider: Provider, signer: SendGridSigner
    ) -> None:
        bounce = {**EVENT, "event": "bounce", "status": "5.1.1", "reason": f"550 5.1.1 <{MAIL}> unknown"}
        drop = {**EVENT, "event": "dropped", "reason": "Bounced Address"}
        quoting = {**EVENT, "event": "dropped", "reason": f"{MAIL} again"}
        read = await _read(provider, signer, [bounce, drop, quoting])
        assert [receipt.reason for receipt in read] == ["bounce:5.1.1", "dropped:Bounced Address", "dropped"]

    async def test_mail_of_others_on_the_same_account_is_left_alone(
        self, provider: Provider, signer: SendGridSigner
    ) -> None:
        theirs = [{**EVENT, "clarion_key": key} for key in ("mine", None, 7, KEY + "\0")]
        assert await _read(provider, signer, [*theirs, {k: v for k, v in EVENT.items() if k != "clarion_key"}]) == []

    @pytest.mark.parametrize(
        "content",
        [
            {},
            "text",
            [1],
            [{**EVENT, "sg_event_id": None}],
            [{**EVENT, "sg_event_id": "a\0b"}],
            [{**EVENT, "sg_event_id": "x" * 256}],
            [{**EVENT, "timestamp": "1700000000"}],
            [{**EVENT, "timestamp": 1e300}],
            [{**EVENT, "timestamp": True}],
            [{**EVENT, "sg_message_id": 5}],
        ],
    )
    async def test_signed_nonsense_is_malformed(
        self, content: object, provider: Provider, signer: SendGridSigner
    ) -> None:
        with pytest.raises(Malformed):
            await _read(provider, signer, content)

    @pytest.mark.parametrize("body", [b"", b"[", b'["\xed\xa0\x80"]', b"[" * 100_000])
    async def test_signed_text_that_is_no_json(self, body: bytes, provider: Provider, signer: SendGridSigner) -> None:
        with pytest.raises((Malformed, Forged)):
            await provider.receipts(signer.call(body))

    @settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        changes=st.dictionaries(
            st.sampled_from(sorted(EVENT)), st.none() | st.integers() | st.text() | st.lists(st.text())
        )
    )
    async def test_signed_variations_are_read_or_malformed(
        self, changes: dict[str, object], provider: Provider, signer: SendGridSigner
    ) -> None:
        try:
            body = orjson.dumps([{**EVENT, **changes}])
        except TypeError:  # an integer beyond 64 bits is no JSON of orjson's
            return
        with suppress(Malformed):
            await provider.receipts(signer.call(body))

    @pytest.mark.parametrize(("age", "good"), [(23 * 3600, True), (25 * 3600, False), (-200, True), (-400, False)])
    async def test_only_calls_of_the_last_day(
        self, age: float, good: bool, provider: Provider, signer: SendGridSigner
    ) -> None:
        call = signer.call(orjson.dumps([EVENT]), at=time.time() - age)
        if good:
            assert len(await provider.receipts(call)) == 1
        else:
            with pytest.raises(Forged):
                await provider.receipts(call)

    async def test_without_a_key_nothing_is_believed(self, make: Make, signer: SendGridSigner) -> None:
        with pytest.raises(Forged, match="CLARION_SENDGRID_WEBHOOK_KEY"):
            await make("sendgrid", CLARION_SENDGRID_WEBHOOK_KEY="").receipts(signer.call(b"[]"))

    @pytest.mark.parametrize("key", ["rubbish", "AAAA", "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="])
    def test_a_key_that_is_none_is_a_wrong_setting(self, key: str, make: Make) -> None:
        with pytest.raises(SettingsError, match="CLARION_SENDGRID_WEBHOOK_KEY"):
            make("sendgrid", CLARION_SENDGRID_WEBHOOK_KEY=key)

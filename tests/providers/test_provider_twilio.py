"""Twilio alone: its form, its five-digit codes, its signature over URL and form."""

from urllib.parse import parse_qs

import orjson
import pytest
from vendor_side import PATIENT, PHONE, TEXT, Make, OneAnswer, message, unanswered

from bench.fuzz.signing import twilio_call
from domain.messages import Sender
from domain.outcomes import Outcome
from domain.receipts import Report
from providers.base import Forged, Malformed, Provider
from providers.sms.twilio_list import PAGE
from settings import SettingsError

TOKEN = "a-token-of-the-test"
KEY = "019a1b2c-0000-7000-8000-000000000001.4.2"
URL = f"https://notify.example.com/webhook/twilio?key={KEY}"
FORM = {"MessageSid": "SM" + "0" * 32, "MessageStatus": "delivered", "To": PHONE, "RawDlrDoneDate": "", "Body": "ä+ %"}


@pytest.fixture
def provider(make: Make) -> Provider:
    return make("twilio", CLARION_TWILIO_AUTH_TOKEN=TOKEN)


async def test_the_wire_format(make: Make, one_answer: OneAnswer) -> None:
    sent = message(PHONE, callback="https://notify.example.com/webhook")
    await make("twilio", CLARION_TWILIO_URL=await one_answer(201, b"{}", {})).send([sent], PATIENT)
    assert parse_qs(one_answer.bodies[0].decode()) == {
        "To": [PHONE],
        "From": ["+15005550006"],
        "Body": [TEXT],
        "StatusCallback": [f"https://notify.example.com/webhook/twilio?key={sent.key}"],
    }


async def test_a_messaging_service_unless_the_tenant_has_a_number(make: Make, one_answer: OneAnswer) -> None:
    url = await one_answer(201, b"{}", {})
    provider = make("twilio", CLARION_TWILIO_URL=url, CLARION_TWILIO_MESSAGING_SERVICE_SID="MG1")
    await provider.send([message(PHONE)], PATIENT)
    await provider.send([message(PHONE, sender=Sender(phone="+14155550000"))], PATIENT)
    forms = [parse_qs(body.decode()) for body in one_answer.bodies]
    assert [(form.get("From"), form.get("MessagingServiceSid")) for form in forms] == [
        (None, ["MG1"]),
        (["+14155550000"], None),
    ]


def test_it_needs_somebody_to_send_from(make: Make) -> None:
    with pytest.raises(SettingsError, match="CLARION_TWILIO_FROM"):
        make("twilio", CLARION_TWILIO_FROM="")


@pytest.mark.parametrize(
    ("status", "body", "outcome", "reason"),
    [
        (400, {"code": 21211, "message": PHONE}, Outcome.REJECTED, "400 21211"),
        (400, {"code": 21610}, Outcome.REJECTED, "400 21610"),
        (403, {"code": 21408}, Outcome.RETRYABLE, "403 21408"),
        (400, {"code": 21611}, Outcome.THROTTLED, "400 21611"),
        (403, {"code": 20005}, Outcome.VENDOR_DOWN, "403 20005"),
        (429, {"code": 63038}, Outcome.THROTTLED, "429 63038"),
        (400, {"code": PHONE}, Outcome.REJECTED, "400"),
        (400, [PHONE], Outcome.REJECTED, "400"),
        (500, "<html>", Outcome.RETRYABLE, "500"),
    ],
)
async def test_twilios_own_code_decides(
    status: int, body: object, outcome: Outcome, reason: str, make: Make, one_answer: OneAnswer
) -> None:
    url = await one_answer(status, orjson.dumps(body), {})
    (answer,) = await make("twilio", CLARION_TWILIO_URL=url).send([message(PHONE)], PATIENT)
    assert (answer.outcome, answer.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("status", "report"),
    [
        ("delivered", Report.DELIVERED),
        ("undelivered", Report.UNDELIVERED),
        ("failed", Report.UNDELIVERED),
        ("sent", None),
        ("read", None),
        ("", None),
    ],
)
async def test_each_status_that_matters_and_no_other(status: str, report: Report | None, provider: Provider) -> None:
    form = {**FORM, "MessageStatus": status, "ErrorCode": "30003"}
    read = await provider.receipts(twilio_call(TOKEN, URL, form))
    assert [receipt.report for receipt in read] == ([report] if report else [])
    for receipt in read:
        assert str(receipt.key) == KEY
        assert receipt.event_id == f"{FORM['MessageSid']}:{status}"
        assert receipt.reason == (None if status == "delivered" else f"{status}:30003")


@pytest.mark.parametrize(
    ("signed", "called"),
    [
        ("https://a.example:443/webhook/twilio?key=", "https://a.example/webhook/twilio?key="),
        ("https://a.example/webhook/twilio?key=", "https://a.example:8443/webhook/twilio?key="),
    ],
)
async def test_a_port_may_be_signed_or_not(signed: str, called: str, provider: Provider) -> None:
    call = twilio_call(TOKEN, signed + KEY, FORM)
    other = type(call)(called + KEY, call.headers, call.body)
    assert len(await provider.receipts(other)) == 1


@pytest.mark.parametrize("url", [URL.replace("key=", "k="), URL[:-1] + "x", URL.partition("?")[0]])
async def test_a_call_about_no_send_of_ours_says_nothing(url: str, provider: Provider) -> None:
    assert await provider.receipts(twilio_call(TOKEN, url, FORM)) == []


async def test_another_sends_key_cannot_be_put_into_the_url(provider: Provider) -> None:
    call = twilio_call(TOKEN, URL, FORM)
    with pytest.raises(Forged):
        await provider.receipts(type(call)(URL[:-1] + "3", call.headers, call.body))


async def test_a_signed_call_without_its_id_is_malformed(provider: Provider) -> None:
    with pytest.raises(Malformed, match="MessageSid"):
        await provider.receipts(twilio_call(TOKEN, URL, {**FORM, "MessageSid": "a b"}))


async def test_a_wrong_token_is_noticed(provider: Provider) -> None:
    with pytest.raises(Forged):
        await provider.receipts(twilio_call("another", URL, FORM))


NOW = "Wed, 25 Nov 2026 12:00:00 GMT"


def _listed(sid: str, at: str = "11:59:30", **changes: object) -> dict[str, object]:
    created = f"Wed, 25 Nov 2026 {at} +0000"
    return {"sid": sid, "to": PHONE, "body": TEXT, "from": "+15005550006", "date_created": created, **changes}


async def _look_up(make: Make, one_answer: OneAnswer, messages: object, date: str = NOW) -> object:
    url = await one_answer(200, orjson.dumps({"messages": messages}), {"Date": date})
    sent = unanswered(message(PHONE), age=40, quiet=12)
    return (await make("twilio", CLARION_TWILIO_URL=url).look_up([sent], PATIENT))[0]


@pytest.mark.parametrize(
    "other",
    [
        {"body": "Another text"},
        {"to": "+14155550124"},
        {"from": "+15005550007"},
        {"at": "11:59:10"},  # before our call
        {"at": "11:59:55"},  # of a call whose answer may be under way
        {"date_created": None},
        {"date_created": 7},
        {"sid": None},
    ],
)
async def test_only_a_message_like_ours_in_its_time_is_found(
    other: dict[str, object], make: Make, one_answer: OneAnswer
) -> None:
    messages = (
        [{"sid": "SM1", **_listed("SM1", **other)}, "rubbish"] if "sid" not in other else [_listed("SM1") | other]
    )
    assert await _look_up(make, one_answer, messages) == []
    assert await _look_up(make, one_answer, [*messages, _listed("SM2"), _listed("SM3")]) == ["SM2", "SM3"]


@pytest.mark.parametrize(
    ("messages", "date"),
    [
        ("rubbish", NOW),
        ([_listed("SM1")], "yesterday"),
        ([_listed(f"SM{n}", body="many more") for n in range(PAGE)], NOW),
    ],
)
async def test_an_answer_that_cannot_be_relied_on_is_none(
    messages: object, date: str, make: Make, one_answer: OneAnswer
) -> None:
    assert await _look_up(make, one_answer, messages, date) is None


async def test_a_full_page_that_goes_back_far_enough_is_one(make: Make, one_answer: OneAnswer) -> None:
    older = [_listed(f"SM{n}", at="11:00:00") for n in range(PAGE - 1)]
    assert await _look_up(make, one_answer, [_listed("SM"), *older]) == ["SM"]


async def test_a_messaging_services_message_is_known_by_the_service(make: Make, one_answer: OneAnswer) -> None:
    listed = [_listed("SM1", messaging_service_sid="MG1"), _listed("SM2", messaging_service_sid="MG2")]
    url = await one_answer(200, orjson.dumps({"messages": listed}), {"Date": NOW})
    provider = make("twilio", CLARION_TWILIO_URL=url, CLARION_TWILIO_MESSAGING_SERVICE_SID="MG1")
    assert await provider.look_up([unanswered(message(PHONE), age=40)], PATIENT) == [["SM1"]]

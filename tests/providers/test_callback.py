"""The generic callback: signed by Standard Webhooks, one report or a list of them."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.fuzz.signing import callback_call
from domain.ids import DeliveryId
from domain.receipts import Report
from providers.base import Call, Forged, Malformed
from providers.callback import CallbackReader
from settings import SettingsError

SECRET = "whsec_" + base64.b64encode(b"a secret of the test 24!").decode()
DELIVERY = "019a1b2c-0000-7000-8000-000000000001.4"
EVENT = {
    "delivery_id": DELIVERY,
    "status": "delivered",
    "event_id": "evt_1",
    "occurred_at": "2026-11-24T10:00:00+01:00",
}


@pytest.fixture
def reader(environment: pytest.MonkeyPatch) -> CallbackReader:
    environment.setenv("CLARION_CALLBACK_SECRET", SECRET)
    return CallbackReader()


def _call(content: object) -> Call:
    return callback_call(SECRET, orjson.dumps(content))


def test_one_report(reader: CallbackReader) -> None:
    (receipt,) = reader.read(_call({**EVENT, "anything": "else"}))
    assert receipt.provider == "callback"
    assert receipt.delivery == DeliveryId.parse(DELIVERY)
    assert receipt.report is Report.DELIVERED
    assert receipt.event_id == "evt_1"
    assert receipt.occurred_at == datetime(2026, 11, 24, 9, tzinfo=UTC)
    assert receipt.key is receipt.notification is receipt.channel is None


def test_a_list_and_the_other_way_to_name_a_delivery(reader: CallbackReader) -> None:
    notification = "019a1b2c-0000-7000-8000-000000000002"
    named = {"notification_id": notification, "channel": "voice", "status": "FAILED", "event_id": "e", "reason": "busy"}
    first, second = reader.read(_call([EVENT, {**named, "provider": "vonage"}]))
    assert first.delivery is not None
    assert (second.delivery, second.notification, second.channel) == (None, UUID(notification), "voice")
    assert (second.report, second.reason) == (Report.UNDELIVERED, "busy")
    # A caller that speaks for a vendor must not be able to use up that vendor's own event ids.
    assert (second.provider, second.event_id) == ("vonage", "callback:e")
    assert abs(second.occurred_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_reason_that_is_no_code_is_left_out(reader: CallbackReader) -> None:
    (receipt,) = reader.read(_call({**EVENT, "reason": "ada@example.com is unknown"}))
    assert receipt.reason is None


def test_nothing_to_report(reader: CallbackReader) -> None:
    assert reader.read(_call([])) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"delivery_id": None}, "delivery_id"),
        ({"delivery_id": "1.2"}, "delivery_id"),
        ({"notification_id": "019a1b2c-0000-7000-8000-000000000002"}, "delivery_id"),
        ({"delivery_id": None, "notification_id": "019a1b2c-0000-7000-8000-000000000002"}, "channel"),
        ({"delivery_id": None, "channel": "sms"}, "notification_id"),
        ({"delivery_id": None, "notification_id": "x", "channel": "sms"}, "notification_id"),
        ({"status": "opened"}, "status"),
        ({"status": None}, "status"),
        ({"event_id": ""}, "event_id"),
        ({"event_id": "a\0"}, "event_id"),
        ({"event_id": "a\n"}, "event_id"),
        ({"event_id": "e" * 201}, "event_id"),
        ({"occurred_at": "today"}, "occurred_at"),
        ({"occurred_at": "2026-11-24T10:00:00"}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at"),
        ({"provider": "Send Grid"}, "provider"),
    ],
)
def test_nonsense_is_named(changes: dict[str, Any], named: str, reader: CallbackReader) -> None:
    with pytest.raises(Malformed, match=named):
        reader.read(_call({**EVENT, **changes}))


@pytest.mark.parametrize("body", [b"", b"[", b"null", b"7", b'"text"', b"[[]]", b"[" * 10_000])
def test_signed_text_that_is_no_report_is_malformed(body: bytes, reader: CallbackReader) -> None:
    with pytest.raises(Malformed):
        reader.read(callback_call(SECRET, body))


@pytest.mark.parametrize(("minutes", "good"), [(4, True), (6, False), (-4, True), (-6, False)])
def test_only_calls_of_the_last_five_minutes(minutes: float, good: bool, reader: CallbackReader) -> None:
    call = callback_call(SECRET, orjson.dumps(EVENT), datetime.now(UTC) - timedelta(minutes=minutes))
    if good:
        assert len(reader.read(call)) == 1
    else:
        with pytest.raises(Forged):
            reader.read(call)


def test_another_secret_is_noticed(reader: CallbackReader) -> None:
    other = "whsec_" + base64.b64encode(b"another secret of a test").decode()
    with pytest.raises(Forged):
        reader.read(callback_call(other, orjson.dumps(EVENT)))


def test_without_a_secret_nothing_is_believed(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(Forged, match="CLARION_CALLBACK_SECRET"):
        CallbackReader().read(_call(EVENT))


@pytest.mark.parametrize("secret", ["whsec_", "whsec_ä", "whsec_a"])
def test_a_secret_that_is_none_is_a_wrong_setting(secret: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CLARION_CALLBACK_SECRET", secret)
    with pytest.raises(SettingsError, match="CLARION_CALLBACK_SECRET"):
        CallbackReader()


FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(place=st.integers(0), byte=st.integers(0, 255))
def test_a_changed_byte_is_noticed(place: int, byte: int, reader: CallbackReader) -> None:
    call = _call(EVENT)
    place %= len(call.body)
    body = call.body[:place] + bytes([byte]) + call.body[place + 1 :]
    if body != call.body:
        with pytest.raises(Forged):
            reader.read(Call(call.url, call.headers, body))


@FUZZ
@given(
    headers=st.fixed_dictionaries(
        {},
        optional={
            "webhook-id": st.text(),
            "webhook-timestamp": st.text() | st.sampled_from(["nan", "1e400", "-1", "٣", str(2**70)]),
            "webhook-signature": st.text() | st.sampled_from(["v1,", "v1,a", "v1,,", " ", "v2,x v1,é"]),
        },
    ),
    body=st.binary(),
)
def test_rubbish_is_forged(headers: dict[str, str], body: bytes, reader: CallbackReader) -> None:
    with pytest.raises(Forged):
        reader.read(Call("", headers, body))


VALUES = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.just([]) | st.sampled_from([DELIVERY])
)


@FUZZ
@given(event=st.dictionaries(st.sampled_from([*EVENT, "notification_id", "channel", "reason", "provider"]), VALUES))
def test_signed_reports_of_any_shape_are_read_or_malformed(event: dict[str, Any], reader: CallbackReader) -> None:
    try:
        assert len(reader.read(_call(event))) == 1
    except Malformed as malformed:
        assert str(malformed)

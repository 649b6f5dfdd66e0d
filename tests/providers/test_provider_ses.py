"""SES alone: whose topic, whose certificate, which version of the signature, which event."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vendor_side import MAIL, PATIENT, Make, OneAnswer, message

from bench.fuzz.signing import TOPIC, SnsSigner
from domain.messages import Content, Sender
from domain.receipts import Report
from domain.suppressions import Reason
from providers.base import Forged, Malformed, Provider, Unavailable

KEY = "019a1b2c-0000-7000-8000-000000000001.4.2"
MESSAGE_ID = "0100018c-1111-2222-3333-444455556666-000000"
MAIL_PART = {"messageId": MESSAGE_ID, "tags": {"clarion_key": [KEY.replace(".", "_")]}}


@pytest.fixture(scope="module")
def signer() -> SnsSigner:
    return SnsSigner()


@pytest_asyncio.fixture
async def cert_url(signer: SnsSigner, one_answer: OneAnswer) -> str:
    return await one_answer(200, signer.certificate, {}) + "/cert.pem"


@pytest.fixture
def provider(make: Make, cert_url: str) -> Provider:
    return make("ses", CLARION_SES_TOPIC_ARN=TOPIC, CLARION_SES_CERT_URL=cert_url)


def _event(kind: str = "Delivery", **fields: object) -> str:
    return orjson.dumps({"eventType": kind, "mail": MAIL_PART, **fields}).decode()


async def test_the_wire_format(make: Make, one_answer: OneAnswer) -> None:
    url = await one_answer(200, orjson.dumps({"MessageId": MESSAGE_ID}), {})
    sender = Sender(email="Zoë <zoe@tenant.example>", reply_to="Reply <reply@tenant.example>")
    sent = message(MAIL, sender=sender, content=Content(text="Grüße"))
    provider = make("ses", CLARION_SES_URL=url, CLARION_SES_CONFIGURATION_SET="events")
    (answer,) = await provider.send([sent], PATIENT)
    assert answer.message_id == MESSAGE_ID
    assert orjson.loads(one_answer.bodies[0]) == {
        "FromEmailAddress": "=?utf-8?q?Zo=C3=AB?= <zoe@tenant.example>",
        "Destination": {"ToAddresses": [MAIL]},
        "ReplyToAddresses": ["Reply <reply@tenant.example>"],
        "Content": {
            "Simple": {
                "Subject": {"Data": "Grüße", "Charset": "UTF-8"},
                "Body": {"Text": {"Data": "Grüße", "Charset": "UTF-8"}},
            }
        },
        "EmailTags": [{"Name": "clarion_key", "Value": str(sent.key).replace(".", "_")}],
        "ConfigurationSetName": "events",
    }


@pytest.mark.parametrize("version", ["1", "2"])
async def test_both_versions_of_the_signature_hold(
    version: str, provider: Provider, signer: SnsSigner, cert_url: str
) -> None:
    call = signer.call(cert_url, Message=_event(), Subject="An event", SignatureVersion=version)
    (receipt,) = await provider.receipts(call)
    assert receipt.report is Report.DELIVERED
    assert str(receipt.key) == KEY
    assert receipt.message_id == MESSAGE_ID
    assert receipt.event_id == "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"


@pytest.mark.parametrize(
    ("event", "report", "reason"),
    [
        (_event("Delivery"), Report.DELIVERED, None),
        (
            _event("Bounce", bounce={"bounceType": "Transient", "bounceSubType": "MailboxFull", "reason": MAIL}),
            Report.UNDELIVERED,
            "Bounce:Transient:MailboxFull",
        ),
        (_event("Bounce", bounce=[MAIL]), Report.UNDELIVERED, "Bounce"),
        (_event("Reject", reject={"reason": "Bad content"}), Report.UNDELIVERED, "Reject"),
        (_event("Rendering Failure"), Report.UNDELIVERED, "Rendering Failure"),
        (_event("Complaint"), Report.OPTED_OUT, "Complaint"),
        (_event("Complaint", complaint={"complaintFeedbackType": "not-spam"}), None, None),
        (_event("Subscription", subscription={"newTopicPreferences": {"unsubscribeAll": False}}), None, None),
        (_event("DeliveryDelay"), None, None),
        (_event("Send"), None, None),
        (orjson.dumps({"eventType": ["Delivery"]}).decode(), None, None),
    ],
)
async def test_each_event_that_matters_and_no_other(
    event: str, report: Report | None, reason: str | None, provider: Provider, signer: SnsSigner, cert_url: str
) -> None:
    read = await provider.receipts(signer.call(cert_url, Message=event))
    assert [(one.report, one.reason) for one in read] == ([(report, reason)] if report else [])


@pytest.mark.parametrize(
    ("event", "suppress"),
    [
        (_event("Bounce", bounce={"bounceType": "Permanent", "bounceSubType": "General"}), Reason.HARD_BOUNCE),
        (_event("Bounce", bounce={"bounceType": "Transient"}), None),
        (_event("Bounce", bounce=[MAIL]), None),
        (_event("Complaint", complaint={"complaintFeedbackType": "abuse"}), Reason.COMPLAINT),
        (_event("Subscription", subscription={"newTopicPreferences": {"unsubscribeAll": True}}), Reason.UNSUBSCRIBE),
        (_event("Delivery"), None),
    ],
)
async def test_what_an_event_says_about_the_address(
    event: str, suppress: Reason | None, provider: Provider, signer: SnsSigner, cert_url: str
) -> None:
    (receipt,) = await provider.receipts(signer.call(cert_url, Message=event))
    assert receipt.suppress is suppress


async def test_feedback_of_an_identity_is_known_by_the_vendors_id(
    provider: Provider, signer: SnsSigner, cert_url: str
) -> None:
    text = orjson.dumps({"notificationType": "Delivery", "mail": {"messageId": MESSAGE_ID}}).decode()
    (receipt,) = await provider.receipts(signer.call(cert_url, Message=text))
    assert receipt.key is None
    assert receipt.message_id == MESSAGE_ID


@pytest.mark.parametrize(
    "changes",
    [
        {"TopicArn": TOPIC + "-of-somebody-else"},
        {"SignatureVersion": "3"},
        {"Type": "Notifications"},
        {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com.evil.example/cert.pem"},
        {"SigningCertURL": "https://evil.example/sns.eu-west-1.amazonaws.com/cert.pem"},
        {"SigningCertURL": "https://evil.example@sns.eu-west-1.amazonaws.com/cert.pem"},
        {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com:8443/cert.pem"},
        {"SigningCertURL": "http://sns.eu-west-1.amazonaws.com/cert.pem"},
        {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/cert.exe"},
        {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/any.pem"},
        {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/x/SimpleNotificationService-01234567.pem"},
        {"SigningCertURL": "https://[sns/cert.pem"},
        {"Timestamp": "yesterday"},
        {"Timestamp": "2026-11-24T10:00:00"},
        {"Timestamp": (datetime.now(UTC) - timedelta(hours=2)).isoformat()},
        {"Timestamp": (datetime.now(UTC) + timedelta(hours=2)).isoformat()},
    ],
)
async def test_what_is_not_ours_or_not_of_now_is_refused(
    changes: dict[str, str], provider: Provider, signer: SnsSigner, cert_url: str
) -> None:
    with pytest.raises(Forged):
        await provider.receipts(signer.call(cert_url, Message=_event(), **changes))


@pytest.mark.parametrize("field", ["Message", "MessageId", "Timestamp", "Subject", "Signature"])
async def test_every_signed_field_counts(field: str, provider: Provider, signer: SnsSigner, cert_url: str) -> None:
    call = signer.call(cert_url, Message=_event(), Subject="An event")
    envelope = orjson.loads(call.body)
    for changed in ({**envelope, field: envelope[field][:-2]}, {k: v for k, v in envelope.items() if k != field}):
        with pytest.raises(Forged):
            await provider.receipts(type(call)(call.url, {}, orjson.dumps(changed)))


async def test_another_key_is_noticed(provider: Provider, cert_url: str) -> None:
    with pytest.raises(Forged):
        await provider.receipts(SnsSigner().call(cert_url, Message=_event()))


async def test_an_expired_certificate_is_none(make: Make, one_answer: OneAnswer) -> None:
    expired = SnsSigner(valid=timedelta(hours=-1))
    cert_url = await one_answer(200, expired.certificate, {})
    provider = make("ses", CLARION_SES_TOPIC_ARN=TOPIC, CLARION_SES_CERT_URL=cert_url)
    with pytest.raises(Forged, match="certificate"):
        await provider.receipts(expired.call(cert_url, Message=_event()))


async def test_without_a_certificate_nothing_is_judged(make: Make, signer: SnsSigner, closed_port: int) -> None:
    cert_url = f"http://127.0.0.1:{closed_port}/cert.pem"
    provider = make("ses", CLARION_SES_TOPIC_ARN=TOPIC, CLARION_SES_CERT_URL=cert_url)
    with pytest.raises(Unavailable):
        await provider.receipts(signer.call(cert_url, Message=_event()))


async def test_without_a_topic_nothing_is_believed(make: Make, signer: SnsSigner, cert_url: str) -> None:
    with pytest.raises(Forged, match="CLARION_SES_TOPIC_ARN"):
        await make("ses", CLARION_SES_TOPIC_ARN="").receipts(signer.call(cert_url))


async def test_the_certificate_is_fetched_once(
    provider: Provider, signer: SnsSigner, cert_url: str, one_answer: OneAnswer
) -> None:
    for _ in range(3):
        await provider.receipts(signer.call(cert_url, Message=_event()))
    assert len(one_answer.bodies) == 1


class TestSubscription:
    def _call(self, signer: SnsSigner, cert_url: str, link: str) -> object:
        return signer.call(cert_url, Type="SubscriptionConfirmation", Token="t", SubscribeURL=link, Message="Confirm")

    async def test_it_is_confirmed_where_the_certificate_lives(
        self, provider: Provider, signer: SnsSigner, cert_url: str, one_answer: OneAnswer
    ) -> None:
        link = cert_url.replace("/cert.pem", "/?Action=ConfirmSubscription&Token=t%2Fx")
        assert await provider.receipts(self._call(signer, cert_url, link)) == []  # type: ignore[arg-type]
        assert len(one_answer.bodies) == 2

    @pytest.mark.parametrize(
        "link", ["https://evil.example/?Action=ConfirmSubscription", "https://[", "", "http://127.0.0.1:1/"]
    )
    async def test_it_is_confirmed_nowhere_else(
        self, link: str, provider: Provider, signer: SnsSigner, cert_url: str, one_answer: OneAnswer
    ) -> None:
        with pytest.raises((Forged, Malformed)):
            await provider.receipts(self._call(signer, cert_url, link))  # type: ignore[arg-type]
        assert len(one_answer.bodies) == 1

    async def test_its_end_is_only_taken_note_of(self, provider: Provider, signer: SnsSigner, cert_url: str) -> None:
        call = signer.call(
            cert_url, Type="UnsubscribeConfirmation", Token="t", SubscribeURL="https://x/", Message="Bye"
        )
        assert await provider.receipts(call) == []


INNER = st.sampled_from(["mail", "tags", "messageId", "clarion_key", "bounce"])
OUTER = st.sampled_from(["eventType", "notificationType", "mail", "bounce"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.sampled_from(["Delivery", "Bounce"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(INNER, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=st.dictionaries(OUTER, JSON))
async def test_signed_events_of_any_shape_are_read_or_malformed(
    event: dict[str, object], provider: Provider, signer: SnsSigner, cert_url: str
) -> None:
    try:
        await provider.receipts(signer.call(cert_url, Message=orjson.dumps(event).decode()))
    except Malformed as malformed:
        assert str(malformed)


async def test_a_signed_text_that_is_no_json_is_malformed(provider: Provider, signer: SnsSigner, cert_url: str) -> None:
    with pytest.raises(Malformed):
        await provider.receipts(signer.call(cert_url, Message="hello"))

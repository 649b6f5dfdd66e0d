"""SES's and SNS's side of the sandbox, called with Amazon's own library, its notifications checked by their rules."""

import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from sandbox_side import Hook, Receiver, Sandbox

RAW = (
    b"From: shop@example.com\r\nTo: eve@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nhello raw\r\n"
)


@asynccontextmanager
async def _client(sandbox: Sandbox, service: str, prefix: str, **changes: str) -> AsyncIterator[Any]:
    settings = sandbox.environment
    options = {
        "endpoint_url": settings[f"CLARION_{prefix}_URL"],
        "region_name": settings[f"CLARION_{prefix}_REGION"],
        "aws_access_key_id": settings[f"CLARION_{prefix}_ACCESS_KEY_ID"],
        "aws_secret_access_key": settings[f"CLARION_{prefix}_SECRET_ACCESS_KEY"],
        **changes,
    }
    async with get_session().create_client(service, config=AioConfig(retries={"max_attempts": 0}), **options) as client:
        yield client


async def _send(sandbox: Sandbox, **changes: Any) -> str:
    request = {
        "FromEmailAddress": "shop@example.com",
        "Destination": {"ToAddresses": ["Ada <ada@example.com>"]},
        "Content": {"Simple": {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": "Hello there"}}}},
        "EmailTags": [{"Name": "clarion_key", "Value": "key-1"}],
        **changes,
    }
    async with _client(sandbox, "sesv2", "SES") as client:
        return (await client.send_email(**request))["MessageId"]


async def _verified(sandbox: Sandbox, hook: Hook) -> bool:
    message = hook.json
    async with sandbox.session.get(message["SigningCertURL"]) as answer:
        key = x509.load_pem_x509_certificate(await answer.read()).public_key()
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    digest = hashes.SHA1() if message["SignatureVersion"] == "1" else hashes.SHA256()
    assert isinstance(key, rsa.RSAPublicKey)
    try:
        key.verify(base64.b64decode(message["Signature"]), text.encode(), padding.PKCS1v15(), digest)
    except InvalidSignature:
        return False
    return True


async def _confirmed(sandbox: Sandbox, receiver: Receiver) -> Hook:
    """Visit the SubscribeURL of the confirmation that comes with the first report."""
    (hook,) = await receiver.wait(1, "/ses")
    assert hook.headers["x-amz-sns-message-type"] == hook.json["Type"] == "SubscriptionConfirmation"
    async with sandbox.session.get(hook.json["SubscribeURL"]) as answer:
        assert answer.status == 200
    return hook


async def test_events_flow_once_the_subscription_is_confirmed(sandbox: Sandbox, receiver: Receiver) -> None:
    first = await _send(sandbox, ConfigurationSetName="all-events")
    confirmation = await _confirmed(sandbox, receiver)
    assert await _verified(sandbox, confirmation)
    second = await _send(sandbox)
    hooks = (await receiver.wait(3, "/ses"))[1:]
    assert {hook.json["Type"] for hook in hooks} == {"Notification"}
    for hook in hooks:
        assert await _verified(sandbox, hook)
        assert hook.json["SignatureVersion"] == "2"
        assert hook.json["TopicArn"] == sandbox.environment["CLARION_SES_TOPIC_ARN"]
        assert hook.json["SigningCertURL"] == sandbox.environment["CLARION_SES_CERT_URL"]
    events = {
        (event := Hook("", "", {}, hook.json["Message"].encode()).json)["mail"]["messageId"]: event for hook in hooks
    }
    assert set(events) == {first, second}
    assert events[first]["eventType"] == "Delivery"
    assert events[first]["mail"]["tags"] == {"clarion_key": ["key-1"], "ses:configuration-set": ["all-events"]}
    assert events[first]["delivery"]["recipients"] == ["ada@example.com"]


async def test_a_bounce_can_be_signed_in_the_old_version_and_late(sandbox: Sandbox, receiver: Receiver) -> None:
    rule = {"receipt": {"report": "undelivered"}, "clock_skew": -86_400}
    await sandbox.settings("ses", signature_version="1", rules=[rule])
    await _send(sandbox)
    await _confirmed(sandbox, receiver)
    hook = (await receiver.wait(2, "/ses"))[1]
    assert hook.json["SignatureVersion"] == "1"
    assert await _verified(sandbox, hook)
    event = Hook("", "", {}, hook.json["Message"].encode()).json
    assert (event["eventType"], event["bounce"]["bounceType"]) == ("Bounce", "Permanent")
    for written in (event["mail"]["timestamp"], hook.json["Timestamp"]):
        assert -86_500 < datetime.fromisoformat(written).timestamp() - time.time() < -86_390


async def test_a_forged_notification_is_signed_by_somebody_else(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.rules("ses", {"receipt": {"forged": True}})
    await _send(sandbox)
    await _confirmed(sandbox, receiver)
    assert not await _verified(sandbox, (await receiver.wait(2, "/ses"))[1])


async def test_an_unknown_token_confirms_nothing(sandbox: Sandbox) -> None:
    query = {"Action": "ConfirmSubscription", "TopicArn": "x", "Token": "guessed"}
    async with sandbox.session.get(f"{sandbox.url}/sns/", params=query) as answer:
        assert answer.status == 400


async def test_a_raw_email_is_read(sandbox: Sandbox) -> None:
    await _send(sandbox, Content={"Raw": {"Data": RAW}}, Destination={})
    (line,) = await sandbox.log("ses")
    assert (line["to"], line["subject"], line["text"].strip()) == ("eve@example.com", "Grüße", "hello raw")
    assert line["key"] == "key-1"


@pytest.mark.parametrize(
    "changes",
    [
        {"EmailTags": [{"Name": "clarion_key", "Value": "a.b"}]},
        {"Destination": {"ToAddresses": ["nonsense"]}},
        {"Destination": {}},
        {"FromEmailAddress": "nonsense"},
        {"Content": {}},
    ],
)
async def test_what_ses_requires_is_required(sandbox: Sandbox, changes: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as refused:
        await _send(sandbox, **changes)
    assert refused.value.response["Error"]["Code"] == "BadRequestException"
    assert await sandbox.log("ses") == []


async def test_only_our_signature_opens(sandbox: Sandbox) -> None:
    for changes, code in (
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "AKIAWRONG"}, "UnrecognizedClientException"),
    ):
        async with _client(sandbox, "sesv2", "SES", **changes) as client:
            with pytest.raises(ClientError) as refused:
                await client.get_account()
            assert refused.value.response["Error"]["Code"] == code
    async with _client(sandbox, "sesv2", "SES") as client:
        assert (await client.get_account())["SendingEnabled"] is True


@pytest.mark.parametrize(
    ("status", "code"), [(429, "TooManyRequestsException"), (500, "InternalServiceErrorException")]
)
async def test_ses_refuses_in_its_own_words(sandbox: Sandbox, status: int, code: str) -> None:
    await sandbox.rules("ses", {"answer": {"status": status}})
    with pytest.raises(ClientError) as refused:
        await _send(sandbox)
    assert refused.value.response["Error"]["Code"] == code


async def test_sns_publishes_to_a_phone_number(sandbox: Sandbox) -> None:
    attributes = {"clarion.key": {"DataType": "String", "StringValue": "key.1"}}
    async with _client(sandbox, "sns", "SNS") as client:
        text = "Grüße & <b> \U0001f600"
        answer = await client.publish(PhoneNumber="+14155550123", Message=text, MessageAttributes=attributes)
        assert (await client.get_sms_attributes())["attributes"] == {"DefaultSMSType": "Transactional"}
    (line,) = await sandbox.log("sns")
    assert (line["message_id"], line["key"], line["text"]) == (answer["MessageId"], "key.1", text)


async def test_sns_refuses_in_its_own_words(sandbox: Sandbox) -> None:
    async with _client(sandbox, "sns", "SNS") as client:
        with pytest.raises(ClientError) as refused:
            await client.publish(PhoneNumber="12", Message="x")
        assert refused.value.response["Error"]["Code"] == "InvalidParameter"
        await sandbox.rules("sns", {"rate_limit": 0.001})  # one, however slow the machine
        await client.publish(PhoneNumber="+14155550123", Message="x")
        with pytest.raises(ClientError) as refused:
            await client.publish(PhoneNumber="+14155550123", Message="x")
        assert refused.value.response["Error"]["Code"] == "Throttled"
    async with _client(sandbox, "sns", "SNS", aws_secret_access_key="wrong") as client:
        with pytest.raises(ClientError) as refused:
            await client.publish(PhoneNumber="+14155550123", Message="x")
        assert refused.value.response["Error"]["Code"] == "SignatureDoesNotMatch"

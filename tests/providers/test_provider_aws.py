"""SES and SNS against moto, AWS as somebody else understands it, and what botocore's errors mean."""

import asyncio
import os
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import aiohttp
import orjson
import pytest
from aiobotocore.session import get_session
from botocore.credentials import ReadOnlyCredentials
from pydantic import SecretStr
from vendor_side import MAIL, PATIENT, PHONE, TEXT, Make, OneAnswer, Sandbox, message

from domain.messages import Sender
from domain.outcomes import Outcome
from domain.priorities import Priority
from providers.aws_service import AwsSettings, Service
from settings import SettingsError


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a moto server of this module's own."""
    log = tmp_path_factory.mktemp("moto") / "log"
    program = Path(sysconfig.get_path("scripts")) / "moto_server"
    with log.open("wb") as file, subprocess.Popen([program, "-H", "127.0.0.1", "-p", "0"], stderr=file) as process:
        try:
            yield f"http://127.0.0.1:{_port(log)}"
        finally:
            process.terminate()
            process.wait(PATIENT)


def _port(log: Path) -> str:
    """It says on which port it runs once it does."""
    end = time.monotonic() + PATIENT
    while time.monotonic() < end:
        _, found, rest = log.read_text().partition("http://127.0.0.1:")
        if found and (rest.partition("\n")[1]):
            return rest.split()[0]
        time.sleep(0.1)
    raise AssertionError(log.read_text())


async def _taken(moto: str) -> str:
    """Everything moto remembers."""
    async with aiohttp.ClientSession(moto) as session, session.get("/moto-api/data.json") as response:
        return await response.text()


async def test_ses_takes_our_mail(moto: str, make: Make) -> None:
    provider = make("ses", CLARION_SES_URL=moto)
    (answer,) = await provider.send([message(MAIL)], PATIENT)
    assert (answer.outcome, answer.reason) == (Outcome.REJECTED, "400 MessageRejected")  # the sender is not verified
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    async with get_session().create_client("sesv2", "us-east-1", endpoint_url=moto, **keys) as client:
        await client.create_email_identity(EmailIdentity="clarion@sandbox.example")
    (answer,) = await provider.send([message(MAIL)], PATIENT)
    assert answer.outcome is Outcome.ACCEPTED
    assert answer.message_id
    assert answer.message_id in await _taken(moto)


async def test_sns_takes_our_message(moto: str, make: Make) -> None:
    provider = make("sns", CLARION_SNS_URL=moto)
    assert await provider.check()
    (answer,) = await provider.send([message(PHONE)], PATIENT)
    assert answer.outcome is Outcome.ACCEPTED
    assert answer.message_id
    (answer,) = await provider.send([message("nobody")], PATIENT)
    assert (answer.outcome, answer.reason) == (Outcome.REJECTED, "400 InvalidParameter")


async def test_the_wire_format_of_sns(make: Make, one_answer: OneAnswer) -> None:
    body = b"<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>"
    provider = make("sns", CLARION_SNS_URL=await one_answer(200, body, {"Content-Type": "text/xml"}))
    sent = message(PHONE, sender=Sender(phone="Acme"), priority=Priority.LOW)
    (answer,) = await provider.send([sent], PATIENT)
    assert answer.message_id == "m-1"
    await provider.send([message(PHONE, sender=Sender(phone="+14155550000"))], PATIENT)
    first, second = ({name: value[0] for name, value in parse_qs(each.decode()).items()} for each in one_answer.bodies)
    assert (first["Action"], first["PhoneNumber"], first["Message"]) == ("Publish", PHONE, TEXT)
    assert _attributes(first) == {
        "clarion.key": str(sent.key),
        "AWS.SNS.SMS.SMSType": "Promotional",
        "AWS.SNS.SMS.SenderID": "Acme",
    }
    assert _attributes(second)["AWS.SNS.SMS.SMSType"] == "Transactional"
    assert _attributes(second)["AWS.MM.SMS.OriginationNumber"] == "+14155550000"


def _attributes(form: dict[str, str]) -> dict[str, str]:
    prefix = "MessageAttributes.entry."
    numbers = {name.removeprefix(prefix).split(".")[0] for name in form if name.startswith(prefix)}
    return {form[f"{prefix}{n}.Name"]: form[f"{prefix}{n}.Value.StringValue"] for n in numbers}


@pytest.mark.parametrize(("name", "to"), [("ses", MAIL), ("sns", PHONE)])
@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, b"{", Outcome.IN_DOUBT),
        (200, b"", Outcome.IN_DOUBT),
        (200, b"<html/>", Outcome.IN_DOUBT),
        (200, b"[]", Outcome.IN_DOUBT),
        (500, b"[]", Outcome.IN_DOUBT),
        (500, b"oops", Outcome.IN_DOUBT),
        (502, b"<html>bad gateway</html>", Outcome.IN_DOUBT),
        (503, b"", Outcome.RETRYABLE),
    ],
)
async def test_an_answer_that_is_not_awss_is_classed_by_its_status(
    name: str, to: str, status: int, body: bytes, outcome: Outcome, make: Make, one_answer: OneAnswer
) -> None:
    url = await one_answer(status, body, {})
    (answer,) = await make(name, **{f"CLARION_{name.upper()}_URL": url}).send([message(to)], PATIENT)
    assert answer.outcome is outcome, answer
    assert len(one_answer.bodies) == 1


@pytest.mark.parametrize(
    ("status", "outcome"), [(429, Outcome.THROTTLED), (404, Outcome.VENDOR_DOWN), (302, Outcome.VENDOR_DOWN)]
)
async def test_sess_status_is_enough_where_sns_must_be_read(
    status: int, outcome: Outcome, make: Make, one_answer: OneAnswer
) -> None:
    url = await one_answer(status, b"", {})
    (answer,) = await make("ses", CLARION_SES_URL=url).send([message(MAIL)], PATIENT)
    assert answer.outcome is outcome
    # botocore gives up on an error of SNS that is no XML: we were told nothing.
    (answer,) = await make("sns", CLARION_SNS_URL=url).send([message(PHONE)], PATIENT)
    assert answer.outcome is Outcome.IN_DOUBT


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("AccountSuspendedException", Outcome.VENDOR_DOWN),
        ("SendingPausedException", Outcome.VENDOR_DOWN),
        ("LimitExceededException", Outcome.THROTTLED),
        ("MailFromDomainNotVerifiedException", Outcome.RETRYABLE),
        ("MessageRejected", Outcome.REJECTED),
        ("NotFoundException", Outcome.VENDOR_DOWN),
    ],
)
async def test_sess_own_code_decides(code: str, outcome: Outcome, make: Make, one_answer: OneAnswer) -> None:
    url = await one_answer(400, b'{"message": "ada@example.com"}', {"x-amzn-errortype": code})
    (answer,) = await make("ses", CLARION_SES_URL=url).send([message(MAIL)], PATIENT)
    assert (answer.outcome, answer.reason) == (outcome, f"400 {code}")


@pytest.mark.parametrize("name", ["ses", "sns"])
def test_half_a_pair_of_keys_is_a_wrong_setting(name: str, make: Make) -> None:
    prefix = f"CLARION_{name.upper()}_"
    with pytest.raises(SettingsError, match=f"{prefix}SECRET_ACCESS_KEY"):
        make(name, **{f"{prefix}SECRET_ACCESS_KEY": ""})


@pytest.mark.parametrize(
    ("service", "operation", "region", "url"),
    [
        ("sns", "get_sms_attributes", "eu-west-1", "https://sns.eu-west-1.amazonaws.com/"),
        ("sns", "get_sms_attributes", "cn-north-1", "https://sns.cn-north-1.amazonaws.com.cn/"),
        ("sesv2", "get_account", "eu-west-1", "https://email.eu-west-1.amazonaws.com/v2/email/account"),
    ],
)
def test_botocore_knows_where_a_service_is(service: str, operation: str, region: str, url: str) -> None:
    settings = AwsSettings(region=region, access_key_id="AKIA1", secret_access_key=SecretStr("secret"))
    request = Service(service, settings).request(operation, {}, ReadOnlyCredentials("AKIA1", "secret", None, None))
    assert str(request.url) == url
    assert f"/{region}/{service.removesuffix('v2')}/aws4_request" in request.headers["Authorization"]


@pytest.fixture
def no_keys(environment: pytest.MonkeyPatch, tmp_path: Path) -> Mapping[str, str]:
    """Settings of SNS without keys, on a machine without any."""
    for variable in [variable for variable in os.environ if variable.startswith("AWS_")]:
        environment.delenv(variable)
    for variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        environment.setenv(variable, str(tmp_path / "none"))
    environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return {"CLARION_SNS_ACCESS_KEY_ID": "", "CLARION_SNS_SECRET_ACCESS_KEY": ""}


async def test_without_keys_awss_own_chain_decides(
    make: Make, one_answer: OneAnswer, environment: pytest.MonkeyPatch, no_keys: Mapping[str, str]
) -> None:
    provider_url = await one_answer(200, b"", {})
    provider = make("sns", CLARION_SNS_URL=provider_url, **no_keys)
    (answer,) = await provider.send([message(PHONE)], PATIENT)
    assert (answer.outcome, answer.reason) == (Outcome.VENDOR_DOWN, "NoCredentialsError")
    environment.setenv("AWS_PROFILE", "none")
    (answer,) = await make("sns", CLARION_SNS_URL=provider_url, **no_keys).send([message(PHONE)], PATIENT)
    assert (answer.outcome, answer.reason) == (Outcome.VENDOR_DOWN, "ProfileNotFound")
    assert one_answer.bodies == []


def _keys_of_a_role(vendors: Sandbox, minutes: float) -> bytes:
    """The sandbox's keys, as a container's host hands them out."""
    ours = vendors.environment()
    end = datetime.now(UTC) + timedelta(minutes=minutes)
    return orjson.dumps(
        {
            "AccessKeyId": ours["CLARION_SNS_ACCESS_KEY_ID"],
            "SecretAccessKey": ours["CLARION_SNS_SECRET_ACCESS_KEY"],
            "Token": "of a session",
            "Expiration": end.isoformat(),
        }
    )


# botocore renews keys from 15 minutes before their end, and from 10 minutes on it must.
@pytest.mark.parametrize(("minutes", "asked"), [(60, range(1, 2)), (12, range(2, 6)), (5, range(2, 6))])
async def test_the_keys_of_a_role_are_asked_for_once_and_renewed_in_time(
    minutes: int,
    asked: range,
    make: Make,
    vendors: Sandbox,
    one_answer: OneAnswer,
    environment: pytest.MonkeyPatch,
    no_keys: Mapping[str, str],
) -> None:
    body = _keys_of_a_role(vendors, minutes)
    environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", await one_answer(200, body, {}))
    provider = make("sns", **no_keys)
    answers = await asyncio.gather(*(provider.send([message(PHONE)], PATIENT) for _ in range(20)))
    assert {answer.outcome for (answer,) in answers} == {Outcome.ACCEPTED}
    assert len(one_answer.bodies) in asked


async def test_whoever_waits_for_keys_gives_up_in_time_and_the_next_finds_them(
    make: Make, vendors: Sandbox, environment: pytest.MonkeyPatch, no_keys: Mapping[str, str]
) -> None:
    slow, asked = asyncio.Event(), 0

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await slow.wait()
        body = _keys_of_a_role(vendors, minutes=60)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        provider = make("sns", **no_keys)
        (first,) = await provider.send([message(PHONE)], 0.3)
        slow.set()  # not before: whoever waits on waits for ever, or for botocore's own limit and a second request
        (second,) = await provider.send([message(PHONE)], PATIENT)
    assert (first.outcome, first.reason) == (Outcome.VENDOR_DOWN, "TimeoutError")
    assert second.outcome is Outcome.ACCEPTED
    assert asked == 1

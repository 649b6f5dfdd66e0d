"""Twilio's side of the sandbox, read with Twilio's own library."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import pytest
from sandbox_side import TRACEPARENT, Hook, Receiver, Sandbox
from twilio.request_validator import RequestValidator

TO = "+14155550123"


def _login(sandbox: Sandbox, token: str | None = None) -> dict[str, str]:
    given = sandbox.credentials
    return {"Authorization": aiohttp.encode_basic_auth(given.twilio_account_sid, token or given.twilio_auth_token)}


def _account(sandbox: Sandbox) -> str:
    return f"{sandbox.environment['CLARION_TWILIO_URL']}/2010-04-01/Accounts/{sandbox.credentials.twilio_account_sid}"


async def _send(sandbox: Sandbox, **fields: str) -> tuple[int, Any]:
    form = {"To": TO, "From": sandbox.environment["CLARION_TWILIO_FROM"], "Body": "Hello", **fields}
    headers = {**_login(sandbox), "traceparent": TRACEPARENT}
    url = f"{_account(sandbox)}/Messages.json"
    async with sandbox.session.post(url, data=form, headers=headers) as answer:
        return answer.status, await answer.json()


async def _get(sandbox: Sandbox, path: str, **query: str) -> tuple[int, Any]:
    async with sandbox.session.get(_account(sandbox) + path, params=query, headers=_login(sandbox)) as answer:
        return answer.status, await answer.json()


def _verified(hook: Hook, token: str) -> bool:
    fields = dict(parse_qsl(hook.body.decode(), keep_blank_values=True))
    return RequestValidator(token).validate(hook.url, fields, hook.headers["x-twilio-signature"])


def _status(hook: Hook) -> str:
    return dict(parse_qsl(hook.body.decode()))["MessageStatus"]


async def test_a_message_is_queued_logged_and_reported(sandbox: Sandbox, receiver: Receiver) -> None:
    status, message = await _send(sandbox, StatusCallback=f"{receiver.url}/webhook/twilio?key=k%2E1&x=a%20b%2f")
    assert (status, message["status"], message["to"]) == (201, "queued", TO)
    (line,) = await sandbox.log("twilio")
    assert (line["message_id"], line["key"], line["text"]) == (message["sid"], "k.1", "Hello")
    assert line["traceparent"] == TRACEPARENT
    hooks = await receiver.wait(2, "/twilio")
    assert [_status(hook) for hook in hooks] == ["sent", "delivered"]
    assert all(_verified(hook, sandbox.credentials.twilio_auth_token) for hook in hooks)
    assert (await _get(sandbox, f"/Messages/{message['sid']}.json"))[1]["status"] == "delivered"


async def test_an_undelivered_message_says_why(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.rules("twilio", {"receipt": {"report": "undelivered"}})
    _, message = await _send(sandbox, StatusCallback=f"{receiver.url}/s")
    hooks = await receiver.wait(2)
    assert dict(parse_qsl(hooks[1].body.decode()))["ErrorCode"] == "30003"
    assert (await _get(sandbox, f"/Messages/{message['sid']}.json"))[1]["error_code"] == 30003


async def test_shuffled_events_come_in_reversed_order(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.rules("twilio", {"receipt": {"shuffle": True, "repeat": 2}})
    for _ in range(5):
        await _send(sandbox, StatusCallback=f"{receiver.url}/s")
    statuses = [_status(hook) for hook in await receiver.wait(20)]
    assert sorted(statuses) == ["delivered"] * 10 + ["sent"] * 10
    assert statuses != ["sent", "delivered"] * 10


async def test_a_forged_callback_is_signed_by_somebody_else(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.rules("twilio", {"receipt": {"forged": True}})
    await _send(sandbox, StatusCallback=f"{receiver.url}/s")
    for hook in await receiver.wait(2):
        assert not _verified(hook, sandbox.credentials.twilio_auth_token)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"To": ""}, 21604),
        ({"To": "12345"}, 21211),
        ({"From": ""}, 21603),
        ({"From": "not a valid sender"}, 21212),
        ({"Body": ""}, 21602),
        ({"Body": "x" * 1601}, 21617),
        ({"StatusCallback": "ftp://x"}, 21609),
    ],
)
async def test_what_twilio_requires_is_required(sandbox: Sandbox, fields: dict[str, str], code: int) -> None:
    status, error = await _send(sandbox, **fields)
    assert (status, error["status"], error["code"]) == (400, 400, code)
    assert error["more_info"].endswith(str(code))
    assert await sandbox.log("twilio") == []


async def test_only_the_account_opens(sandbox: Sandbox) -> None:
    assert (await _get(sandbox, ".json"))[1]["sid"] == sandbox.credentials.twilio_account_sid
    async with sandbox.session.get(f"{_account(sandbox)}.json", headers=_login(sandbox, "wrong")) as answer:
        assert (answer.status, (await answer.json())["code"]) == (401, 20003)
    assert (await _get(sandbox, "/Messages/SMnothing.json"))[0] == 404


async def test_sent_messages_are_listed_by_address_and_day(sandbox: Sandbox, receiver: Receiver) -> None:
    callback = f"{receiver.url}/s"
    for to in ("+14155550199", "+14155550188", "+14155550199"):
        await _send(sandbox, To=to, StatusCallback=callback)
    await receiver.wait(6)
    today = datetime.now(UTC).date().isoformat()
    _, found = await _get(sandbox, "/Messages.json", **{"To": "+14155550199", "DateSent>": today, "PageSize": "1"})
    assert [one["to"] for one in found["messages"]] == ["+14155550199"]
    assert found["next_page_uri"]
    assert (await _get(sandbox, "/Messages.json", To="+14155550199", DateSent="2001-01-01"))[1]["messages"] == []

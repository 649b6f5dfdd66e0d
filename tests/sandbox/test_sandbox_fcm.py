"""FCM's side of the sandbox, called with tokens from Google's own library."""

import json
import time
from typing import Any

import pytest
from google.auth import crypt, jwt
from sandbox_side import TRACEPARENT, Sandbox

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


async def _grant(sandbox: Sandbox, **changes: Any) -> tuple[int, Any]:
    account = json.loads(sandbox.environment["CLARION_FCM_CREDENTIALS"])
    now = int(time.time())
    claims = {
        "iss": account["client_email"],
        "aud": account["token_uri"],
        "scope": SCOPE,
        "iat": now,
        "exp": now + 3600,
    }
    signer = crypt.RSASigner.from_service_account_info(account)
    assertion = jwt.encode(signer, {**claims, **changes}).decode()
    async with sandbox.session.post(account["token_uri"], data={"grant_type": GRANT, "assertion": assertion}) as answer:
        return answer.status, await answer.json()


async def _send(sandbox: Sandbox, body: Any, token: str | None = None) -> tuple[int, Any]:
    token = token or (await _grant(sandbox))[1]["access_token"]
    project = json.loads(sandbox.environment["CLARION_FCM_CREDENTIALS"])["project_id"]
    url = f"{sandbox.environment['CLARION_FCM_URL']}/v1/projects/{project}/messages:send"
    headers = {"Authorization": f"Bearer {token}", "traceparent": TRACEPARENT}
    async with sandbox.session.post(url, json=body, headers=headers) as answer:
        return answer.status, await answer.json()


def _message(**changes: Any) -> dict[str, Any]:
    message = {"token": "device-1", "notification": {"title": "Hi", "body": "Hello"}, "data": {"clarion_key": "k.1"}}
    return {"message": {**message, **changes}}


async def test_a_push_is_taken_and_logged(sandbox: Sandbox) -> None:
    status, answer = await _send(sandbox, _message())
    assert status == 200
    (line,) = await sandbox.log("fcm")
    assert (line["message_id"], line["to"], line["key"]) == (answer["name"], "device-1", "k.1")
    assert (line["subject"], line["text"], line["traceparent"]) == ("Hi", "Hello", TRACEPARENT)


async def test_validate_only_sends_nothing(sandbox: Sandbox) -> None:
    assert (await _send(sandbox, {**_message(), "validate_only": True}))[0] == 200
    assert await sandbox.log("fcm") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"token": None},
        {"topic": "news"},
        {"data": {"n": 1}},
        {"notification": {"title": 1}},
        {"data": {"x": "y" * 5000}},
    ],
)
async def test_what_fcm_requires_is_required(sandbox: Sandbox, changes: dict[str, Any]) -> None:
    status, answer = await _send(sandbox, _message(**changes))
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("status", "name", "code"),
    [
        (404, "NOT_FOUND", "UNREGISTERED"),
        (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
        (503, "UNAVAILABLE", "UNAVAILABLE"),
        (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    ],
)
async def test_fcm_refuses_in_its_own_words(sandbox: Sandbox, status: int, name: str, code: str) -> None:
    await sandbox.rules("fcm", {"answer": {"status": status}})
    got, answer = await _send(sandbox, _message())
    assert (got, answer["error"]["status"]) == (status, name)
    assert answer["error"]["details"][0]["errorCode"] == code


@pytest.mark.parametrize("claims", [{"iss": "x"}, {"aud": "https://x"}, {"scope": "x"}, {"exp": 1}, {"iat": None}])
async def test_a_wrong_assertion_gets_no_token(sandbox: Sandbox, claims: dict[str, Any]) -> None:
    status, answer = await _grant(sandbox, **claims)
    assert (status, answer["error"]) == (400, "invalid_grant")


async def test_tokens_expire_and_cannot_be_made_up(sandbox: Sandbox) -> None:
    await sandbox.settings("fcm", token_lifetime=0)
    token = (await _grant(sandbox))[1]["access_token"]
    for bad in (token, "ya29.9999999999.00", "ä"):
        status, answer = await _send(sandbox, _message(), bad)
        assert (status, answer["error"]["status"]) == (401, "UNAUTHENTICATED")

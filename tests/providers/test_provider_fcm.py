"""FCM alone: its access tokens, its own codes, data as strings."""

import asyncio
from typing import Any

import orjson
import pytest
from aiohttp import web
from vendor_side import PATIENT, TOKEN, Make, OneAnswer, Sandbox, message

from domain.messages import Content
from domain.outcomes import Outcome
from settings import SettingsError


@pytest.fixture
def account(vendors: Sandbox) -> dict[str, Any]:
    return orjson.loads(vendors.environment()["CLARION_FCM_CREDENTIALS"])


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (400, "INVALID_ARGUMENT", Outcome.REJECTED),
        (404, "UNREGISTERED", Outcome.REJECTED),
        (403, "SENDER_ID_MISMATCH", Outcome.REJECTED),
        (403, "PERMISSION_DENIED", Outcome.VENDOR_DOWN),
        (401, "THIRD_PARTY_AUTH_ERROR", Outcome.VENDOR_DOWN),
        (429, "QUOTA_EXCEEDED", Outcome.THROTTLED),
        (500, "INTERNAL", Outcome.RETRYABLE),
    ],
)
async def test_fcms_own_code_decides(status: int, code: str, outcome: Outcome, make: Make, vendors: Sandbox) -> None:
    await vendors.rule("fcm", answer={"status": status, "code": code})
    (answer,) = await make("fcm").send([message(TOKEN)], PATIENT)
    assert (answer.outcome, answer.reason) == (outcome, f"{status} {code}")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"error": "no"}', b'{"error": {"details": [7]}}', b'{"error": {"status": "a@b"}}']
)
async def test_an_error_without_a_code_is_told_by_its_status(body: bytes, make: Make, one_answer: OneAnswer) -> None:
    (answer,) = await make("fcm", CLARION_FCM_URL=await one_answer(404, body, {})).send([message(TOKEN)], PATIENT)
    assert (answer.outcome, answer.reason) == (Outcome.VENDOR_DOWN, "404")


async def test_the_wire_format(make: Make, one_answer: OneAnswer) -> None:
    url = await one_answer(200, b'{"name": "projects/p/messages/1"}', {})
    sent = message(TOKEN, content=Content(text="Hi", title="T", data={"n": 1, "s": "x", "clarion_key": "evil"}))
    (answer,) = await make("fcm", CLARION_FCM_URL=url).send([sent], PATIENT)
    assert answer.message_id == "projects/p/messages/1"
    assert orjson.loads(one_answer.bodies[0]) == {
        "message": {
            "token": TOKEN,
            "notification": {"title": "T", "body": "Hi"},
            "data": {"n": "1", "s": "x", "clarion_key": str(sent.key)},
            "android": {"priority": "HIGH"},
        }
    }


async def test_a_body_that_cannot_be_read_is_a_doubt(make: Make, one_answer: OneAnswer) -> None:
    (answer,) = await make("fcm", CLARION_FCM_URL=await one_answer(200, b"<html>", {})).send([message(TOKEN)], PATIENT)
    assert answer.outcome is Outcome.IN_DOUBT


class TestAccessTokens:
    async def _provider(self, make: Make, account: dict[str, Any], fcm_url: str, answer: web.Response) -> Any:
        self.grants = 0

        async def grant(_: web.Request) -> web.Response:
            self.grants += 1
            await asyncio.sleep(0.05)
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

        app = web.Application()
        app.router.add_post("/token", grant)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        token_uri = f"http://127.0.0.1:{self.runner.addresses[0][1]}/token"
        credentials = orjson.dumps({**account, "token_uri": token_uri}).decode()
        return make("fcm", CLARION_FCM_URL=fcm_url, CLARION_FCM_CREDENTIALS=credentials)

    def _grant(self, lifetime: object = 3600) -> web.Response:
        return web.Response(body=orjson.dumps({"access_token": "t", "expires_in": lifetime}))

    async def test_one_is_fetched_for_many(self, make: Make, account: dict[str, Any], one_answer: OneAnswer) -> None:
        url = await one_answer(200, b'{"name": "n"}', {})
        provider = await self._provider(make, account, url, self._grant())
        await asyncio.gather(*(provider.send([message(TOKEN)], PATIENT) for _ in range(20)))
        await provider.send([message(TOKEN)], PATIENT)
        assert (self.grants, len(one_answer.bodies)) == (1, 21)
        await self.runner.cleanup()

    @pytest.mark.parametrize(("status", "lifetime"), [(401, 3600), (200, 60)])
    async def test_a_refused_or_ending_one_is_not_used_again(
        self, status: int, lifetime: int, make: Make, account: dict[str, Any], one_answer: OneAnswer
    ) -> None:
        url = await one_answer(status, b'{"name": "n"}', {})
        provider = await self._provider(make, account, url, self._grant(lifetime))
        for _ in range(2):
            await provider.send([message(TOKEN)], PATIENT)
        assert self.grants == 2
        await self.runner.cleanup()

    @pytest.mark.parametrize(
        "answer",
        [
            web.Response(status=400, body=b'{"error": "invalid_grant"}'),
            web.Response(status=503),
            web.Response(body=b"<html>"),
            web.Response(body=b'{"access_token": 1, "expires_in": "x"}'),
        ],
    )
    async def test_without_one_nothing_is_sent(
        self, answer: web.Response, make: Make, account: dict[str, Any], one_answer: OneAnswer
    ) -> None:
        provider = await self._provider(make, account, await one_answer(200, b"{}", {}), answer)
        (refusal,) = await provider.send([message(TOKEN)], PATIENT)
        assert refusal.outcome is Outcome.VENDOR_DOWN
        assert one_answer.bodies == []
        await self.runner.cleanup()

    async def test_waiting_for_one_counts(self, make: Make, account: dict[str, Any], one_answer: OneAnswer) -> None:
        provider = await self._provider(make, account, await one_answer(200, b"{}", {}), self._grant())
        (answer,) = await provider.send([message(TOKEN)], 0.02)
        assert answer.outcome is Outcome.VENDOR_DOWN
        assert one_answer.bodies == []
        await self.runner.cleanup()


@pytest.mark.parametrize("credentials", ["{", "[]", "{}", '{"project_id": 1}'])
def test_credentials_that_are_none_are_a_wrong_setting(credentials: str, make: Make) -> None:
    with pytest.raises(SettingsError, match="CLARION_FCM_CREDENTIALS"):
        make("fcm", CLARION_FCM_CREDENTIALS=credentials)


def test_a_private_key_that_is_none_is_a_wrong_setting(make: Make, account: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="CLARION_FCM_CREDENTIALS"):
        make("fcm", CLARION_FCM_CREDENTIALS=orjson.dumps({**account, "private_key": "none"}).decode())

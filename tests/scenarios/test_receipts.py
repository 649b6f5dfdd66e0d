"""Receipts as vendors send them: repeated, early, late, out of order, of an older attempt, forged, of nobody known."""

import asyncio
import hashlib
import hmac
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
from stage import SetStage, Stage


async def _callback(stage: Stage, body: Any, secret: str | None = None) -> int:
    """A Standard Webhooks call, signed by hand: the specification's own words, not our library's."""
    secret = secret or stage.vendors.environment()["CLARION_CALLBACK_SECRET"]
    raw, stamp, name = orjson.dumps(body), str(int(datetime.now(UTC).timestamp())), f"msg_{uuid4().hex}"
    key = b64decode(secret.removeprefix("whsec_"))
    signature = b64encode(hmac.digest(key, f"{name}.{stamp}.".encode() + raw, hashlib.sha256)).decode()
    headers = {"webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": f"v1,{signature}"}
    headers["content-type"] = "application/json"
    async with stage.http.post(f"{stage.url}/webhook/callback", data=raw, headers=headers) as response:
        return response.status


async def _silent(stage: Stage) -> tuple[str, dict[str, Any]]:
    """A notification that was sent and of which nothing was heard yet."""
    await stage.vendors.rule("sendgrid", receipt={"report": "none"})
    n = await stage.notify(channels=["email"], recipient_ids=["ada"], message="Hello")
    # With a short window a busy machine sees it only when that has passed.
    status = await stage.until(n, lambda status: status["channel_statuses"]["email"] in {"SENT", "UNCONFIRMED"})
    return n, status["deliveries"][0]


def _event(delivery: dict[str, Any], status: str, name: str | None = None) -> dict[str, Any]:
    return {"delivery_id": delivery["id"], "status": status, "event_id": name or uuid4().hex}


async def test_repeated_shuffled_receipts_move_a_delivery_once(stage: Stage) -> None:
    await stage.vendors.rule("sendgrid", receipt={"report": "delivered", "repeat": 5, "shuffle": True})
    sent = [await stage.notify(channels=["email"], recipient_ids=[f"r{i}"], message="Hello") for i in range(10)]
    for n in sent:
        status = await stage.until(n, "COMPLETED")
        moves = [e for e in status["deliveries"][0]["events"] if e["to"] == "DELIVERED" and e["from"] != "DELIVERED"]
        assert len(moves) == 1
    await stage.awaiting_is_right()


async def test_a_receipt_before_the_answer_counts(stage: Stage) -> None:
    await stage.vendors.rule("twilio", latency=1, receipt={"report": "delivered", "early": True})
    n = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello")
    await stage.until(n, "COMPLETED")
    await asyncio.sleep(1.2)
    assert (await stage.status(n))["channel_statuses"] == {"sms": "DELIVERED"}
    await stage.awaiting_is_right()


async def test_a_late_delivered_wins_over_unconfirmed_and_is_told_to_the_lists(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"email": {"window": 1}})
    n, delivery = await _silent(stage)
    await stage.until(n, lambda status: status["channel_statuses"]["email"] == "UNCONFIRMED")
    assert await _callback(stage, _event(delivery, "delivered")) == 200
    assert (await stage.status(n))["channel_statuses"] == {"email": "DELIVERED"}
    async with asyncio.timeout(60):
        while True:
            _, answer = await stage.call("GET", "/metrics")
            if answer["by_status"].get("DELIVERED") == 1 and not answer["by_status"].get("UNCONFIRMED"):
                break
            await asyncio.sleep(0.1)


async def test_a_late_bounce_turns_unconfirmed_into_failed_and_delivered_wins_again(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"email": {"window": 1}})
    n, delivery = await _silent(stage)
    await stage.until(n, lambda status: status["channel_statuses"]["email"] == "UNCONFIRMED")
    assert await _callback(stage, _event(delivery, "failed")) == 200
    assert (await stage.status(n))["channel_statuses"] == {"email": "FAILED"}
    assert await _callback(stage, _event(delivery, "delivered")) == 200
    assert (await stage.status(n))["channel_statuses"] == {"email": "DELIVERED"}


async def test_an_old_attempts_bounce_changes_nothing(set_stage: SetStage) -> None:
    stage = await set_stage(channels={"sms": {"doubt": 0.5, "route": ["twilio", "sns"]}})
    # Twilio takes it, gives no whole answer, and reports a failure long after SNS has been asked.
    await stage.vendors.rule("twilio", reset=True, receipt={"report": "undelivered", "delay": 5})
    n = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello")
    status = await stage.until(n, "COMPLETED")
    assert status["deliveries"][0]["provider"] == "sns"

    def reported(status: dict[str, Any]) -> bool:
        return any("no change" in (e["reason"] or "") for e in status["deliveries"][0]["events"])

    status = await stage.until(n, reported)
    assert status["channel_statuses"] == {"sms": "SENT"}


async def test_forged_receipts_write_nothing(stage: Stage) -> None:
    n, delivery = await _silent(stage)
    forged = "whsec_" + b64encode(b"somebody else's secret, 32 bytes").decode()
    assert await _callback(stage, _event(delivery, "delivered"), forged) == 401
    assert (await stage.db.run("SELECT count(*) FROM receipt"))[0][0] == 0
    assert (await stage.status(n))["channel_statuses"] == {"email": "SENT"}


async def test_a_repeated_event_and_an_unknown_delivery_are_200_and_change_nothing(stage: Stage) -> None:
    n, delivery = await _silent(stage)
    event = _event(delivery, "delivered", "the-same")
    assert await _callback(stage, event) == 200
    assert await _callback(stage, event) == 200
    assert await _callback(stage, [_event({"id": f"{uuid4()}.7"}, "delivered")]) == 200
    status = await stage.until(n, "COMPLETED")
    assert [e["to"] for e in status["deliveries"][0]["events"]] == ["QUEUED", "SENDING", "SENT", "DELIVERED"]
    parked = await stage.db.run("SELECT count(*) FROM receipt WHERE NOT matched")
    assert parked[0][0] == 1


async def test_a_callback_may_name_notification_and_channel(stage: Stage) -> None:
    n, _ = await _silent(stage)
    body = {"notification_id": n, "channel": "email", "status": "delivered", "event_id": "e1"}
    assert await _callback(stage, body) == 200
    await stage.until(n, "COMPLETED")


async def test_rubbish_with_a_good_signature_is_422(stage: Stage) -> None:
    assert await _callback(stage, {"status": "delivered"}) == 422
    assert await _callback(stage, [{"delivery_id": "x.y", "status": "delivered", "event_id": "e"}]) == 422

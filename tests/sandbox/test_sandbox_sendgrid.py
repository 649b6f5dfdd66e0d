"""SendGrid's side of the sandbox, read with SendGrid's own library."""

from typing import Any

import pytest
from sandbox_side import TRACEPARENT, Hook, Receiver, Sandbox
from sendgrid import EventWebhook


def _verified(hook: Hook, key: str) -> bool:
    signature = hook.headers["x-twilio-email-event-webhook-signature"]
    timestamp = hook.headers["x-twilio-email-event-webhook-timestamp"]
    return bool(EventWebhook(key).verify_signature(hook.body.decode(), signature, timestamp))


async def test_a_mail_is_taken_logged_and_reported(sandbox: Sandbox, receiver: Receiver) -> None:
    answer = await sandbox.mail("ada@example.com")
    assert answer.status == 202
    message_id = answer.headers["X-Message-Id"]
    (line,) = await sandbox.log("sendgrid")
    assert (line["message_id"], line["to"], line["key"]) == (message_id, "ada@example.com", "key.0")
    assert (line["subject"], line["text"], line["html"]) == ("Hello", "Hello there", "<p>Hello</p>")
    assert (line["from"], line["traceparent"]) == ("shop@example.com", TRACEPARENT)
    (hook,) = await receiver.wait(1, "/webhook/sendgrid")
    assert _verified(hook, sandbox.environment["CLARION_SENDGRID_WEBHOOK_KEY"])
    assert [event["event"] for event in hook.json] == ["processed", "delivered"]
    for event in hook.json:
        assert event["clarion_key"] == "key.0"
        assert event["email"] == "ada@example.com"
        assert event["sg_message_id"].startswith(message_id)
    assert len({event["sg_event_id"] for event in hook.json}) == 2


async def test_a_bulk_call_is_many_messages_and_few_webhooks(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.settings("sendgrid", gather=60, rules=[{"to": "bad*", "receipt": {"report": "undelivered"}}])
    addresses = [f"person{number}@example.com" for number in range(998)] + ["bad1@example.com", "bad2@example.com"]
    assert (await sandbox.mail(*addresses)).status == 202
    await receiver.wait_for(lambda: sum(len(hook.json) for hook in receiver.hooks) == 2000)
    assert len(receiver.hooks) == 2  # at most 1,000 events a call
    events = [event for hook in receiver.hooks for event in hook.json]
    bounced = {event["email"]: event for event in events if event["event"] == "bounce"}
    assert set(bounced) == {"bad1@example.com", "bad2@example.com"}
    assert bounced["bad1@example.com"]["clarion_key"] == "key.998"
    assert len({event["sg_event_id"] for event in events}) == 2000
    assert (await sandbox.counts("sendgrid"))["accepted"] == 1000


async def test_what_was_gathered_before_a_reset_fills_no_call(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.settings("sendgrid", gather=60)
    await sandbox.mail("ada@example.com")
    assert len(await sandbox.log("sendgrid")) == 1
    await sandbox.reset(f"{receiver.url}/webhook")
    await sandbox.settings("sendgrid", gather=60)
    await sandbox.mail(*(f"person{number}@example.com" for number in range(500)))
    await receiver.wait_for(lambda: bool(receiver.hooks))
    assert [len(hook.json) for hook in receiver.hooks] == [1000]


async def test_too_many_personalizations_are_refused(sandbox: Sandbox) -> None:
    answer = await sandbox.mail(*(f"person{number}@example.com" for number in range(1001)))
    assert answer.status == 400
    assert await sandbox.log("sendgrid") == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"personalizations": []}, "personalizations"),
        ({"personalizations": [{"to": []}]}, "personalizations.0.to"),
        ({"personalizations": [{"to": [{"email": "nonsense"}]}]}, "personalizations.0.to.0.email"),
        ({"from": {}}, "from.email"),
        ({"subject": ""}, "subject"),
        ({"content": []}, "content"),
        ({"content": [{"type": "text/plain", "value": ""}]}, "content.0.value"),
        ({"content": [{"type": "text/html", "value": "a"}, {"type": "text/plain", "value": "a"}]}, "content"),
        (
            {"custom_args": {"clarion_key": 1}, "personalizations": [{"to": [{"email": "a@b.c"}]}]},
            "personalizations.0.",
        ),
    ],
)
async def test_what_sendgrid_requires_is_required(sandbox: Sandbox, changes: dict[str, Any], field: str) -> None:
    answer = await sandbox.mail("ada@example.com", **changes)
    assert answer.status == 400
    (error,) = (await answer.json())["errors"]
    assert error["field"].startswith(field)
    assert (await sandbox.counts("sendgrid"))["refused"] == 1


async def test_rubbish_is_a_bad_request(sandbox: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {sandbox.credentials.sendgrid_api_key}"}
    for body in (b"", b"[]", b"{", b"\xff", b'{"personalizations": [1]}', b'{"custom_args": 1, "content": 5}'):
        async with sandbox.session.post(f"{sandbox.url}/sendgrid/v3/mail/send", data=body, headers=headers) as answer:
            assert answer.status == 400, body
            assert (await answer.json())["errors"]


async def test_only_the_key_opens(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/sendgrid/v3/scopes"
    async with sandbox.session.get(url, headers={"Authorization": "Bearer wrong"}) as answer:
        assert answer.status == 401
    good = {"Authorization": f"Bearer {sandbox.credentials.sendgrid_api_key}"}
    async with sandbox.session.get(url, headers=good) as answer:
        assert "mail.send" in (await answer.json())["scopes"]


async def test_a_forged_report_has_the_form_but_not_the_key(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.rules("sendgrid", {"receipt": {"forged": True}})
    await sandbox.mail("ada@example.com")
    (hook,) = await receiver.wait(1)
    assert not _verified(hook, sandbox.environment["CLARION_SENDGRID_WEBHOOK_KEY"])


async def test_other_events_can_be_asked_for(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.rules("sendgrid", {"receipt": {"event": "dropped"}})
    await sandbox.mail("ada@example.com")
    (hook,) = await receiver.wait(1)
    assert hook.json[-1]["event"] == "dropped"

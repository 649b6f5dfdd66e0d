"""What rules do to calls and receipts, shown on SendGrid and Twilio."""

import asyncio
import time
from random import Random
from typing import Any

import aiohttp
import pytest
from sandbox_side import Receiver, Sandbox, is_never_answered

from sandbox.control import Rule
from sandbox.desk import LiveRule


async def _statuses(sandbox: Sandbox, count: int, address: str = "ada@example.com") -> list[int]:
    return [(await sandbox.mail(address)).status for _ in range(count)]


async def test_the_first_match_wins(sandbox: Sandbox) -> None:
    error = {"answer": {"status": 500}}
    await sandbox.rules(
        "sendgrid", {"to": "*@good.example"}, {"to": "ADA@*", **error}, {"to": "*@bad.example", **error}
    )
    assert await _statuses(sandbox, 1, "ada@good.example") == [202]
    assert await _statuses(sandbox, 1, "ada@other.example") == [500]
    assert await _statuses(sandbox, 1, "bob@bad.example") == [500]
    assert await _statuses(sandbox, 1, "bob@other.example") == [202]
    assert (await sandbox.counts("sendgrid"))["refused"] == 2


async def test_only_the_first_so_many_calls(sandbox: Sandbox) -> None:
    await sandbox.rules("sendgrid", {"first": 2, "answer": {"status": 503}})
    assert await _statuses(sandbox, 4) == [503, 503, 202, 202]


async def test_a_share_is_drawn_from_its_seed(sandbox: Sandbox) -> None:
    settings = {"seed": 7, "rules": [{"share": 0.3, "answer": {"status": 500}}]}
    await sandbox.settings("sendgrid", **settings)
    first = await _statuses(sandbox, 60)
    await sandbox.settings("sendgrid", **settings)
    assert await _statuses(sandbox, 60) == first
    assert 5 < first.count(500) < 35
    await sandbox.settings("sendgrid", **{**settings, "seed": 8})
    assert await _statuses(sandbox, 60) != first


async def test_a_rate_limit_answers_as_the_vendor_does(sandbox: Sandbox) -> None:
    await sandbox.rules("sendgrid", {"rate_limit": 5})
    began = time.monotonic()
    statuses = [one.status for one in await asyncio.gather(*(sandbox.mail("ada@example.com") for _ in range(20)))]
    assert 5 <= statuses.count(202) <= 5 + 5 * (time.monotonic() - began)
    assert statuses.count(429) == 20 - statuses.count(202)
    await asyncio.sleep(0.5)
    assert await _statuses(sandbox, 1) == [202]


async def test_a_call_over_the_rate_limit_is_told_when_to_come_again(sandbox: Sandbox) -> None:
    await sandbox.rules("sendgrid", {"rate_limit": 0.001})  # no machine is slow enough for a second one
    assert await _statuses(sandbox, 1) == [202]
    before = time.time()
    refused = await sandbox.mail("ada@example.com")
    assert refused.status == 429
    assert before < int(refused.headers["X-RateLimit-Reset"]) <= time.time() + 1


async def test_latency_and_jitter(sandbox: Sandbox) -> None:
    await sandbox.rules("sendgrid", {"latency": 0.3, "jitter": 0.2})
    started = time.monotonic()
    assert await _statuses(sandbox, 1) == [202]
    assert time.monotonic() - started >= 0.3
    live = LiveRule(Rule(latency=0.3, jitter=0.2), Random(7))
    waits = [live.wait() for _ in range(100)]
    assert 0.3 <= min(waits) < max(waits) <= 0.5


@pytest.mark.parametrize(("hang", "taken"), [("before", 0), ("after", 1)])
async def test_a_call_that_is_never_answered(sandbox: Sandbox, receiver: Receiver, hang: str, taken: int) -> None:
    await sandbox.rules("sendgrid", {"hang": hang})
    sending = asyncio.ensure_future(sandbox.mail("ada@example.com"))
    await receiver.wait(taken)  # it may be slow to arrive: its report shows that it was taken
    await is_never_answered(sending)
    assert len(await sandbox.log("sendgrid")) == taken
    assert (await sandbox.counts("sendgrid"))["refused"] == 0
    await asyncio.sleep(0.3)
    assert len(receiver.hooks) == taken


async def test_a_connection_cut_in_the_middle_of_the_answer(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.rules("sendgrid", {"reset": True, "first": 1})
    with pytest.raises(aiohttp.ClientError):
        await sandbox.mail("ada@example.com")
    assert len(await sandbox.log("sendgrid")) == 1
    await receiver.wait(1)
    assert await _statuses(sandbox, 1) == [202]


async def test_an_error_names_its_code_and_its_pause(sandbox: Sandbox) -> None:
    await sandbox.rules("sendgrid", {"answer": {"status": 503, "code": "be back soon", "retry_after": 30}})
    answer = await sandbox.mail("ada@example.com")
    assert answer.headers["Retry-After"] == "30"
    assert (await answer.json())["errors"][0]["message"] == "be back soon"


async def test_silence_instead_of_receipts(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.rules("sendgrid", {"receipt": {"report": "none"}})
    assert await _statuses(sandbox, 1) == [202]
    await asyncio.sleep(0.4)
    assert receiver.hooks == []


async def test_a_late_receipt(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.rules("sendgrid", {"receipt": {"delay": 0.6}})
    started = time.monotonic()
    await sandbox.mail("ada@example.com")
    await receiver.wait(1)
    assert time.monotonic() - started >= 0.6


async def test_an_early_receipt_comes_before_the_answer(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.rules("sendgrid", {"receipt": {"early": True}})
    async with receiver.busy:  # the sandbox waits for the receiver, and the call for the sandbox
        sending = asyncio.ensure_future(sandbox.mail("ada@example.com"))
        await receiver.wait(1)
        assert not sending.done()
    assert (await sending).status == 202


async def test_a_repeated_receipt_keeps_its_ids(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.rules("sendgrid", {"receipt": {"repeat": 3}})
    await sandbox.mail("ada@example.com")
    await receiver.wait_for(lambda: sum(len(hook.json) for hook in receiver.hooks) == 6)
    assert len({event["sg_event_id"] for hook in receiver.hooks for event in hook.json}) == 2


async def test_a_wrong_clock_shows_in_content_and_signature(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.rules("sendgrid", {"clock_skew": -7200})
    await sandbox.mail("ada@example.com")
    (hook,) = await receiver.wait(1)
    for stamp in (hook.headers["x-twilio-email-event-webhook-timestamp"], hook.json[0]["timestamp"]):
        assert -7300 < int(stamp) - time.time() < -7190


async def test_a_webhook_is_tried_again_until_it_is_acknowledged(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.answers[:] = [500, 503]
    await sandbox.mail("ada@example.com")
    first, second, third = await receiver.wait(3)
    assert first.body == second.body == third.body
    assert (
        first.headers["x-twilio-email-event-webhook-signature"]
        == third.headers["x-twilio-email-event-webhook-signature"]
    )
    counts = await sandbox.counted("sendgrid", "acknowledged", 2)
    assert (counts["posted"], counts["acknowledged"], counts["retries"], counts["dropped"]) == (2, 2, 2, 0)


async def test_a_forged_webhook_is_not_tried_again(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.answers[:] = [401]
    await sandbox.rules("sendgrid", {"receipt": {"forged": True}})
    await sandbox.mail("ada@example.com")
    await receiver.wait(1)
    assert (await sandbox.counted("sendgrid", "dropped", 2))["dropped"] == 2


async def test_a_receipt_rule_draws_for_each_recipient_of_a_bulk_call(sandbox: Sandbox, receiver: Receiver) -> None:
    await sandbox.rules("sendgrid", {"first": 3, "receipt": {"report": "undelivered"}})
    await sandbox.mail(*(f"person{number}@example.com" for number in range(10)))
    (hook,) = await receiver.wait(1)
    assert [event["event"] for event in hook.json].count("bounce") == 3


async def test_a_call_rule_is_used_up_once_by_a_bulk_call(sandbox: Sandbox) -> None:
    await sandbox.rules("sendgrid", {"first": 2, "reset": True})
    for _ in range(2):
        with pytest.raises(aiohttp.ClientError):
            await sandbox.mail("a@example.com", "b@example.com", "c@example.com")
    assert (await sandbox.mail("a@example.com", "b@example.com", "c@example.com")).status == 202


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        ({"rules": [{"too": "*"}]}, "/rules/0/too"),
        ({"rules": [{"share": 2}]}, "/rules/0/share"),
        ({"rules": [{"answer": {"status": 200}}]}, "/rules/0/answer/status"),
        ({"rules": [{"hang": "maybe"}]}, "/rules/0/hang"),
        ({"rules": [{"reset": True, "hang": "after"}]}, "/rules/0"),
        ({"gather": -1}, "/gather"),
        ([], ""),
    ],
)
async def test_rubbish_settings_are_refused_and_change_nothing(sandbox: Sandbox, settings: Any, pointer: str) -> None:
    await sandbox.rules("sendgrid", {"answer": {"status": 500}})
    async with sandbox.session.put(f"{sandbox.url}/control/sendgrid", json=settings) as answer:
        assert (answer.status, answer.content_type) == (422, "application/problem+json")
        assert (await answer.json())["errors"][0]["pointer"] == pointer
    assert await _statuses(sandbox, 1) == [500]


async def test_settings_are_shown_and_reset(sandbox: Sandbox) -> None:
    await sandbox.rules("twilio", {"latency": 2})
    url = f"{sandbox.url}/control/twilio"
    async with sandbox.session.get(url) as answer:
        assert (await answer.json())["rules"][0]["latency"] == 2
    async with sandbox.session.delete(url) as answer:
        assert answer.status == 204
    async with sandbox.session.get(url) as answer:
        assert (await answer.json())["rules"] == []
    async with sandbox.session.get(f"{sandbox.url}/control/nobody") as answer:
        assert answer.status == 404

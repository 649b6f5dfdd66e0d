"""A call without an answer: the vendor is asked, and only where it does not know of the message another may send it."""

import asyncio
from typing import Any

from prometheus_client import REGISTRY
from stage import SetStage

# Also a busy machine connects within the time-out.
DOUBT = {"sms": {"timeout": 3, "doubt": 20}}
BRIEF = {"sms": {"timeout": 3, "doubt": 6}}
NONE = {"report": "none"}


def _lookups(result: str) -> float:
    return REGISTRY.get_sample_value("clarion_lookups_total", {"provider": "twilio", "result": result}) or 0.0


async def test_a_message_the_vendor_took_is_found_and_not_sent_again(set_stage: SetStage) -> None:
    stage = await set_stage(channels=DOUBT)
    before = _lookups("found")
    await stage.vendors.rule("twilio", hang="after", receipt=NONE)
    n = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Taken without a word")
    status = await stage.until(n, lambda status: status["channel_statuses"]["sms"] == "SENT")
    (delivery,) = status["deliveries"]
    assert "IN_DOUBT" in [event["to"] for event in delivery["events"]]
    assert (delivery["provider"], delivery["possible_duplicate"], delivery["attempts"]) == ("twilio", False, 1)
    (taken,) = await stage.vendors.log("twilio")
    assert delivery["events"][-1]["message_id"] == taken["message_id"]
    assert await stage.vendors.log("sns") == []
    assert _lookups("found") == before + 1
    (row,) = await stage.db.run("SELECT doubts FROM delivery")
    assert row.doubts == 0
    await stage.awaiting_is_right()


async def test_one_it_never_took_goes_to_the_next_and_is_counted(set_stage: SetStage) -> None:
    stage = await set_stage(channels=BRIEF)
    before = _lookups("not_found")
    await stage.vendors.rule("twilio", hang="before")
    n = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Never taken")
    status = await stage.until(n, "COMPLETED")
    (delivery,) = status["deliveries"]
    assert (delivery["provider"], delivery["status"]) == ("sns", "SENT")
    assert delivery["possible_duplicate"] is True
    assert await stage.vendors.log("twilio") == []
    assert _lookups("not_found") > before
    await stage.awaiting_is_right()


async def test_the_same_text_twice_to_one_person_is_nobodys_for_sure(set_stage: SetStage) -> None:
    """Two are in doubt, the vendor took one of them, and shows no key: whose it is, nobody can tell."""
    stage = await set_stage(channels=BRIEF)
    rules = [{"hang": "after", "first": 1, "receipt": NONE}, {"hang": "before"}]
    await stage.vendors.settings("twilio", rules=rules)
    body: dict[str, Any] = {"channels": ["sms"], "recipient_ids": ["ada"], "message": "Disk full"}
    both = await asyncio.gather(stage.notify(**body), stage.notify(**body))
    ends = [(await stage.until(n, "COMPLETED"))["deliveries"][0] for n in both]
    assert [(end["provider"], end["possible_duplicate"]) for end in ends] == [("sns", True)] * 2
    assert len(await stage.vendors.log("twilio")) == 1

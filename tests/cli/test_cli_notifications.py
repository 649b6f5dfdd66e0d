"""`clarion list`, `tail`, `cancel`, `metrics` and `recipients`."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

from cli_side import CommandLine
from front import front_of
from stage import Stage


async def _three(stage: Stage) -> list[str]:
    """An email and an SMS that have ended, and one for later; oldest first."""
    email = await stage.notify(channels=["email"], recipient_ids=["ada"], message="Hello", tags=["campaign:april"])
    sms = await stage.notify(
        channels=["sms"], recipient_ids=["bob"], message="Hello", priority="high", tags=["b", "campaign:may"]
    )
    for one in (email, sms):
        await stage.until(one, "COMPLETED")
    later = (datetime.now().astimezone() + timedelta(hours=1)).isoformat()
    return [
        email,
        sms,
        await stage.notify(channels=["push"], recipient_ids=["ada"], message="Later", send_at=later),
    ]


async def test_list_takes_every_filter_and_goes_on_from_its_cursor(clarion: CommandLine, stage: Stage) -> None:
    email, sms, later = await _three(stage)

    async def ids(*filters: str) -> list[str]:
        return [one["notification_id"] for one in (await clarion("list", *filters, "--json")).json["data"]]

    assert await ids() == [later, sms, email]
    assert await ids("--channel", "sms") == [sms]
    assert await ids("--status", "scheduled") == [later]
    assert await ids("--recipient", "ada") == [later, email]
    assert await ids("--priority", "high") == [sms]
    assert await ids("--since", "1h", "--status", "COMPLETED") == [sms, email]
    assert await ids("--tag", "campaign:may", "--tag", "b") == [sms]
    assert await ids("--tag-prefix", "campaign:") == [sms, email]
    refused = await clarion("list", "--q", "hello", "--metadata", "order:A")
    assert refused.code != 0 and "--keep-text" in refused.err
    empty = await clarion("list", "--until", "1h")
    assert (empty.code, empty.out, empty.err) == (0, "", "No notifications.\n")

    first = await clarion("list", "--limit", "2")
    assert [line.split()[0] for line in first.out.splitlines()[1:]] == [later, sms]
    cursor = first.err.split()[-1]
    rest = await clarion("list", "--cursor", cursor)
    assert [line.split()[0] for line in rest.out.splitlines()[1:]] == [email]
    assert rest.err == ""


async def test_tail_tells_what_comes_and_what_changes_until_ctrl_c(clarion: CommandLine, stage: Stage) -> None:
    old = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello")
    await stage.until(old, "COMPLETED")
    tail = await clarion.start("tail", "--json")
    printed = await clarion.until(tail, old)
    async with front_of(stage.url) as front:
        await stage.vendors.calls_back(f"{front.url}/webhook")
        await front.go()  # no receipt comes before it was seen on its way: the vendor posts it again
        new = await stage.notify(channels=["email"], recipient_ids=["ada"], message="Hello")
        printed += await clarion.until(tail, '"PROCESSING"')
        await front.come()
        printed += await clarion.until(tail, '"COMPLETED"')
    ended = await clarion.interrupted(tail)
    assert (ended.code, ended.err) == (130, "")
    told = [json.loads(line) for line in printed.splitlines()]
    assert [one["status"] for one in told if one["notification_id"] == old] == ["COMPLETED"]
    statuses = [one["status"] for one in told if one["notification_id"] == new]
    assert statuses[-1] == "COMPLETED"
    assert "PROCESSING" in statuses


async def test_cancel_says_what_was_too_late(clarion: CommandLine, stage: Stage) -> None:
    ended, _, later = await _three(stage)
    cancelled, late = await clarion("cancel", later), await clarion("cancel", ended)
    assert (cancelled.code, late.code) == (0, 1)
    assert "CANCELLED" in cancelled.out
    assert "too late: DELIVERED" in late.out


async def _settled(stage: Stage) -> dict[str, Any]:
    """The totals, once the runs of what was sent have written theirs: they do at their last look."""
    async with asyncio.timeout(60):
        while True:
            _, said = await stage.call("GET", "/metrics")
            if said["total_success"] == 2:
                return said
            await asyncio.sleep(0.1)


async def test_metrics_are_those_of_the_api(clarion: CommandLine, stage: Stage) -> None:
    await _three(stage)
    said = await _settled(stage)
    piped, document = await clarion("metrics"), await clarion("metrics", "--json")
    assert document.json == said
    assert ["channel", "sms", "1", "1", "0"] in [line.split() for line in piped.out.splitlines()]


async def test_the_address_book(clarion: CommandLine) -> None:
    name = "ann the 1st?"
    put = await clarion("recipients", "put", name, "--email", "Ann@EXAMPLE.com", "--phone", "+1 415 555 0100")
    assert put.code == 0, put.err
    got = (await clarion("recipients", "get", name, "--json")).json
    assert (got["id"], got["email"], got["phone"]) == (name, "Ann@example.com", "+14155550100")
    assert (await clarion("recipients", "delete", name)).code == 0
    gone = await clarion("recipients", "get", name)
    assert (gone.code, gone.err) == (1, "Not found. There is no such recipient.\n")
    wrong = await clarion("recipients", "put", "ann", "--phone", "12")
    assert wrong.code == 2
    assert "/phone" in wrong.err

"""The sandbox as a process: its log, its accounts, its page, its start and stop."""

import asyncio
import concurrent.futures
import json
import os
import signal
import socket
import stat
import sys
from pathlib import Path

import aiohttp
import pytest
from sandbox_side import PATIENT, Receiver, Sandbox, running

from sandbox.credentials import load_or_create
from sandbox.journal import Journal
from sandbox.messages import Message


async def test_the_log_is_read_in_pages_by_vendor(sandbox: Sandbox) -> None:
    await sandbox.mail(*(f"person{number}@example.com" for number in range(25)))
    found, after = [], 0
    while True:
        query = {"after": str(after), "limit": "10", "vendor": "sendgrid"}
        async with sandbox.session.get(f"{sandbox.url}/log", params=query) as answer:
            page = await answer.json()
        if not page["data"]:
            break
        found += [line["to"] for line in page["data"]]
        after = page["next"]
    assert found == [f"person{number}@example.com" for number in range(25)]
    assert await sandbox.log("twilio") == []


@pytest.mark.parametrize("query", ["after=x", "limit=0", "limit=1000000", "after=-1"])
async def test_a_rubbish_page_is_refused(sandbox: Sandbox, query: str) -> None:
    async with sandbox.session.get(f"{sandbox.url}/log?{query}") as answer:
        assert answer.status == 422


async def test_a_clean_stop_writes_everything_and_a_new_life_goes_on(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path, receiver.url) as sandbox:
        await sandbox.mail("ada@example.com")
    written = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["to"] for line in written] == ["ada@example.com"]
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"n": 2, "cut sho')
    async with running(tmp_path, receiver.url) as sandbox:
        await sandbox.mail("bob@example.com")
        assert [(line["n"], line["to"]) for line in await sandbox.log()] == [
            (1, "ada@example.com"),
            (2, "bob@example.com"),
        ]
        assert (await sandbox.counts("sendgrid"))["accepted"] == 2


async def test_a_call_that_hangs_does_not_keep_it_from_stopping(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path, receiver.url) as sandbox:
        await sandbox.rules("sendgrid", {"hang": "after"})
        sending = asyncio.ensure_future(sandbox.mail("ada@example.com"))
        await receiver.wait(1)
        os.kill(sandbox.pid, signal.SIGTERM)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await sending


async def test_a_confirmed_subscription_survives_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    from test_sandbox_aws import _confirmed, _send

    async with running(tmp_path, receiver.url) as sandbox:
        await _send(sandbox)
        await _confirmed(sandbox, receiver)
        await receiver.wait(2)
    async with running(tmp_path, receiver.url) as sandbox:
        await _send(sandbox)
        hooks = await receiver.wait(3)
    assert [hook.json["Type"] for hook in hooks] == ["SubscriptionConfirmation", "Notification", "Notification"]


def test_a_long_log_is_found_by_its_numbers(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for number in range(5000):
        journal.append("twilio" if number % 2 else "sendgrid", Message(f"m{number}", "x", None))
        if number % 100 == 99:
            journal.flush()
    for after in (0, 999, 1000, 3456, 4999):
        lines, reached = journal.read(after, 7)
        assert [line["n"] for line in lines] == list(range(after + 1, min(after + 8, 5001)))
        assert reached == min(after + 7, 5000)
    journal.close()
    again = Journal(tmp_path)
    assert (again.last, dict(again.accepted)) == (5000, {"sendgrid": 2500, "twilio": 2500})
    assert again.read(3456, 1)[0][0]["message_id"] == "m3456"
    again.empty()
    again.append("sns", Message("next", "x", None))
    again.flush()
    assert [line["n"] for line in again.read(5000, 10)[0]] == [5001]
    again.close()


async def test_a_taken_port_is_one_line_and_code_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "sandbox", "--port", port, "--smtp-port", "0", "--data-dir", str(tmp_path)]
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        _, said = await asyncio.wait_for(process.communicate(), PATIENT)
    assert process.returncode == 2
    assert said.decode().startswith("sandbox: ")
    assert said.count(b"\n") == 1


def test_accounts_are_made_once_and_private(tmp_path: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: load_or_create(tmp_path), range(4)))
    assert all(one == made[0] for one in made)
    assert stat.S_IMODE((tmp_path / "credentials.json").stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["credentials.json"]


async def test_the_page_may_run_only_its_own_script(sandbox: Sandbox) -> None:
    async with sandbox.session.get(f"{sandbox.url}/") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'sha256-" in policy
        page = await answer.text()
    assert "innerHTML" not in page
    assert "http" not in page.replace("http-equiv", "")


async def test_the_newest_messages_come_first(sandbox: Sandbox) -> None:
    await sandbox.mail("ada@example.com")
    await sandbox.mail("bob@example.com")
    async with sandbox.session.get(f"{sandbox.url}/log/newest?vendor=sendgrid&limit=1") as answer:
        assert [line["to"] for line in (await answer.json())["data"]] == ["bob@example.com"]


async def test_health(sandbox: Sandbox) -> None:
    async with sandbox.session.get(f"{sandbox.url}/health") as answer:
        assert await answer.json() == {"status": "ok"}
    async with sandbox.session.get(f"{sandbox.url}/nothing") as answer:
        assert answer.status == 404

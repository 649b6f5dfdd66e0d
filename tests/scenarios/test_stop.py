"""SIGTERM to each process under load, and again while it drains: it ends by itself, and leaves nothing in doubt."""

import asyncio
import json
import os
import random
import signal
import time
from pathlib import Path

import aiohttp
import pytest
from vendor_side import clarion_variables

from bench.load import Target, body_of, run
from bench.verdict import settled
from ledger.database import Database
from settings import Settings
from workers.embedded.part import Part
from workers.embedded.stack import running

STOPPED = ("worker-rest", "api", "worker-high")
RATE = 15  # notifications a second: each of two messages, and at such a rate with a run of its own
PAUSE = 2.0  # seconds of load before each stop, and after the last
LATENCY = 1.5  # seconds a vendor takes: at each stop there are calls in flight
TIMEOUT = 12  # seconds for a call, also of high priority: on a busy machine none is in doubt for its latency
BACK_WITHIN, DONE_WITHIN = 40.0, 120.0  # seconds on a busy machine


@pytest.mark.timeout(240)
async def test_stop_each_process_under_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in clarion_variables():
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLARION_CHANNELS", json.dumps({name: {"timeout": TIMEOUT} for name in ("email", "sms")}))
    promised, chance, stop = tmp_path / "accepted", random.Random(8), asyncio.Event()
    lines: list[str] = []
    settings = Settings(data_dir=tmp_path / "data")
    async with running(settings, free_ports=True, sink=lambda name, line: lines.append(f"{name}: {line}")) as stack:
        await _slow(stack.addresses.sandbox, "sendgrid", "twilio")
        load = asyncio.create_task(
            run(
                Target(stack.addresses.api),
                clients=20,
                rate=RATE,
                stop=stop,
                make_body=lambda n: body_of(n, "stop", chance, ("email", "sms")),
                accepted_ids=promised,
                keep_going=True,
            )
        )
        for name in STOPPED:
            await asyncio.sleep(PAUSE)
            seconds = await _stopped_and_back(stack.services[name])
            assert f"{name}: ended unasked (exit code 0); starting it again in 0.2 s" in lines, lines[-50:]
            print(f"{name} ended after {seconds:.1f} s")  # noqa: T201 - shown by pytest -s
            assert seconds < stack.services[name].service.grace, (name, seconds)
        await asyncio.sleep(PAUSE)
        stop.set()
        result = await load
        db = Database(stack.addresses.database_url, pool_size=2)
        try:
            verdict = await settled(db, promised, tmp_path / "data" / "sandbox" / "log.jsonl", DONE_WITHIN)
            doubts = await db.run("SELECT count(*) FROM delivery_event WHERE new = 'in_doubt'")
            repeated = await db.run("SELECT coalesce(sum(possible_duplicates), 0) FROM delivery")
            committed = await db.run("SELECT count(*) FROM notification")
        finally:
            await db.close()
    print(f"\n{verdict}; refused {result.refused}, broken {result.broken}")  # noqa: T201 - shown by pytest -s
    assert verdict.clean and verdict.counted == 0, "\n".join(lines[-50:])
    assert (doubts[0][0], repeated[0][0]) == (0, 0)
    assert committed[0][0] == verdict.accepted, "whoever was taken was told so"
    assert verdict.accepted > RATE * PAUSE * len(STOPPED) / 2


async def _slow(sandbox: str, *vendors: str) -> None:
    async with aiohttp.ClientSession(sandbox) as session:
        for vendor in vendors:
            async with session.put(f"/control/{vendor}", json={"rules": [{"latency": LATENCY}]}) as response:
                assert response.status == 200


async def _stopped_and_back(part: Part) -> float:
    """Ask it to end, impatiently, and wait until its successor is ready. Returns the seconds it took to end."""
    before, started = part.pid, time.monotonic()
    assert before is not None
    os.kill(before, signal.SIGTERM)
    await asyncio.sleep(0.2)
    for again in (signal.SIGTERM, signal.SIGINT):
        if part.pid == before:
            os.kill(before, again)
    async with asyncio.timeout(BACK_WITHIN):
        while part.pid == before:
            await asyncio.sleep(0.02)
        took = time.monotonic() - started
        while part.pid is None or not part.ready.is_set():
            await asyncio.sleep(0.05)
    return took

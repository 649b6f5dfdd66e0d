"""kill -9 of every part, one at a time, under a steady load: nothing that got a 202 is lost, every extra is counted."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest
from vendor_side import clarion_variables

from bench.load import Target, body_of, run
from bench.verdict import Verdict, accepted_ids, judge
from ledger.database import Database
from settings import Settings
from workers.embedded.part import Part
from workers.embedded.stack import running

VICTIMS = ("api", "worker-rest", "temporal", "postgres", "valkey", "worker-high")
RATE = 50
PAUSE = 2.0  # seconds of load before each kill, and after the last
BACK_WITHIN = 40.0  # seconds for a part on a busy machine; a quiet one needs one or two


@pytest.mark.timeout(300)
async def test_kill_each_part_under_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in clarion_variables():
        monkeypatch.delenv(name)
    # What a killed worker had claimed is in doubt until a receipt or this many seconds have come.
    monkeypatch.setenv("CLARION_CHANNELS", '{"email": {"doubt": 3}, "sms": {"doubt": 3}}')
    monkeypatch.chdir(tmp_path)
    stop = asyncio.Event()
    promised, chance = tmp_path / "accepted", random.Random(7)
    lines: list[str] = []
    settings = Settings(data_dir=tmp_path / "data")
    async with running(settings, free_ports=True, sink=lambda name, line: lines.append(f"{name}: {line}")) as stack:
        target = Target(stack.addresses.api)
        load = asyncio.create_task(
            run(
                target,
                clients=20,
                rate=RATE,
                stop=stop,
                make_body=lambda n: body_of(n, "kill", chance, ("email", "sms")),
                accepted_ids=promised,
                keep_going=True,
            )
        )
        for victim in VICTIMS:
            await asyncio.sleep(PAUSE)
            await _killed_and_back(stack.services[victim])
        await asyncio.sleep(PAUSE)
        stop.set()
        result = await load
        db = Database(stack.addresses.database_url, pool_size=2)
        try:
            verdict = await settled(db, promised, tmp_path / "data" / "sandbox" / "log.jsonl")
        finally:
            await db.close()
    print(f"\n{verdict}; refused {result.refused}, broken {result.broken}")  # noqa: T201 - shown by pytest -s
    assert verdict.accepted > RATE * PAUSE * len(VICTIMS) / 2
    assert verdict.clean, "\n".join(lines[-50:])


async def _killed_and_back(part: Part) -> None:
    before = part.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    async with asyncio.timeout(BACK_WITHIN):
        while part.pid in (None, before) or not part.ready.is_set():
            await asyncio.sleep(0.05)


async def settled(db: Database, promised: Path, log: Path) -> Verdict:
    """The verdict as soon as everything has ended, or after a minute."""
    end = time.monotonic() + 75
    while True:
        verdict = await judge(db, accepted_ids(promised), log)
        if verdict.clean or time.monotonic() > end:
            return verdict
        await asyncio.sleep(1)

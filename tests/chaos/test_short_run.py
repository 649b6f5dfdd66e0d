"""A short fault run of a fixed seed: every part is killed, vendors fail, nothing is lost, no duplicate is uncounted."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KILLS = ("kill-api", "kill-worker", "kill-temporal", "kill-postgres", "kill-valkey")
OTHERS = ("vendor-hang-after", "vendor-errors", "vendor-reset", "receipts-early", "receipts-repeated")
LOAD = {"--seconds": "32", "--every": "4.5", "--seed": "7", "--rate": "8", "--settle": "150"}


@pytest.mark.timeout(300)
async def test_a_short_fault_run_loses_nothing_and_counts_every_duplicate(tmp_path: Path) -> None:
    options = [word for pair in LOAD.items() for word in pair]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.chaos", *options, "--out", str(tmp_path), "--only", *KILLS, *OTHERS),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    print(said.decode())  # noqa: T201 - shown when it fails
    assert process.returncode == 0
    report = json.loads((tmp_path / f"chaos-{LOAD['--seed']}.json").read_text())
    assert set(report["faults"]) >= set(KILLS), "a part was not killed"
    assert len(report["faults"]) > len(KILLS)
    assert report["accepted"] > 100
    assert (report["lost"], report["duplicates_uncounted"], report["clean"]) == (0, 0, True)

"""Requests made up by schemathesis from the API's own document: no fault of ours, no answer that is not in it."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

_CONFIG = Path(__file__).with_name("schemathesis.toml")
_PROGRAM = Path(sys.executable).with_name("schemathesis")


class FuzzError(Exception):
    """The tool did not come to a verdict. The text says what it said."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one caller's requests. `findings`: what must not be, a line each; `log`: all that was said."""

    caller: str
    cases: int
    operations: int
    findings: Sequence[str]
    log: Path


async def run(url: str, caller: str, key: str | None, *, phases: str, examples: int, seed: int, out: Path) -> Outcome:
    """Requests of one caller to every operation, at most `examples` for each in a phase. Raises FuzzError."""
    report, log = out / f"routes-{caller}.json", out / f"routes-{caller}.log"
    report.unlink(missing_ok=True)
    command = [
        *(str(_PROGRAM), "--config-file", str(_CONFIG), "--no-color", "run", f"{url}/openapi.json"),
        *("--phases", phases, "--max-examples", str(examples), "--seed", str(seed)),
        *("--report", "json", "--report-json-path", str(report)),
    ]
    environment = {**os.environ, "FUZZ_AUTHORIZATION": f"Bearer {key}" if key else ""}
    with log.open("wb") as said:
        tool = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said, env=environment
        )
        try:
            await tool.wait()
        finally:
            if tool.returncode is None:
                tool.terminate()
    if not report.exists():
        raise FuzzError(f"schemathesis came to no verdict: see {log}")
    return _outcome(caller, orjson.loads(report.read_bytes()), log)


def _outcome(caller: str, report: dict[str, Any], log: Path) -> Outcome:
    found = [f"{failure['title']}: {', '.join(failure['operations'])}" for failure in report["failures"]]
    found += [f"could not be tried: {error}" for error in report["errors"]]
    if not report["complete"]:
        found.append(f"ended early: {report['stop_reason']}")
    operations = report["operations"]
    if operations["tested"] != operations["total"]:
        found.append(f"only {operations['tested']} of {operations['total']} operations were tried")
    return Outcome(caller, report["test_cases"]["generated"], operations["tested"], found, log)

"""Ends what a killed supervisor left behind, where the system did not do it, as on macOS."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path


def end_leftovers(parts_file: Path, *, patience: float = 5.0) -> None:
    """Stop the processes of a supervisor that was killed: politely, and after `patience` seconds for good."""
    try:
        parts = json.loads(parts_file.read_text())
    except (OSError, ValueError):
        return
    living = [part for part in parts.values() if birth(part["pid"]) == part["birth"]]
    for part in living:
        _send(part["pid"], signal.Signals(part["stop_signal"]))
    deadline = time.monotonic() + patience
    while living and time.monotonic() < deadline:
        time.sleep(0.05)
        living = [part for part in living if birth(part["pid"]) == part["birth"]]
    for part in living:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(part["pid"], signal.SIGKILL)


def birth(pid: int) -> str | None:
    """When this process started, so that a reused pid is not taken for it; None when it does not live."""
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] == "Z" else fields[19]
    question = ["ps", "-o", "lstart=", "-p", str(pid)]
    found = subprocess.run(question, capture_output=True, text=True, check=False)  # noqa: S603 (a number)
    return found.stdout.strip() or None


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)

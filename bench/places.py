"""Where measurements leave what they find, and what version of the code they are of."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
OUT = ROOT / "bench" / "out"


def version() -> str:
    """The code that is measured; results of another version are not kept beside its own."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"


def new_log(kind: str, case: str) -> Path:
    """An empty place for what the parts of a case's stacks write."""
    log = OUT / kind / f"{case}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    return log

"""`python -m bench.audit`: known vulnerabilities of what is pinned; says so, and goes on, where nobody can be asked.

With AUDIT=strict in the environment it does not go on: for the machine that decides on a release.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_LOCK = "requirements.lock"
_TIMEOUT = 10  # seconds for each answer of the vulnerability service
_PATIENCE = 180  # seconds for all of them


def main() -> int:
    """Returns the exit code: 1 for a vulnerability, or in strict mode for a package nobody knew anything of."""
    code, lines = verdict(_report(), strict=os.environ.get("AUDIT") == "strict")
    for line in lines:
        print(line)
    return code


def verdict(report: dict[str, Any] | None, *, strict: bool) -> tuple[int, list[str]]:
    """Exit code and what to say of a report of pip-audit; None: it has none."""
    packages: list[dict[str, Any]] = report["dependencies"] if report else []
    found = [
        f"audit: {package['name']} {package['version']}: {flaw['id']}"
        f" (fixed in {', '.join(flaw['fix_versions']) or 'no version yet'})"
        for package in packages
        for flaw in package.get("vulns", [])
    ]
    skipped = sum("skip_reason" in package for package in packages)
    if found:
        return 1, found
    if skipped == len(packages):
        lines = ["audit: WARNING: the vulnerability service cannot be reached: nothing was audited"]
    elif skipped:
        lines = [f"audit: WARNING: {skipped} of {len(packages)} packages are unknown to the vulnerability service"]
    else:
        return 0, [f"audit: {len(packages)} packages, no known vulnerability"]
    return int(strict), lines


def _report() -> dict[str, Any] | None:
    tool = Path(sys.executable).with_name("pip-audit")
    options = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--timeout", str(_TIMEOUT))
    try:
        done = subprocess.run(
            [tool, "-r", _LOCK, *options, "--format", "json"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        return json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None


if __name__ == "__main__":
    sys.exit(main())

"""`python -m bench.chaos.sabotage NAME`: break a copy of the code on purpose, and see that the fault suite finds it."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from bench.chaos.defects import DEFECTS, Defect, TextNotFound, apply
from bench.chaos.running import ROOT

_LEFT_OUT = (".git", ".venv", ".clarion", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis", "out", "tests")
_ROOMS = ("bench", "ledger", "workers", "activities", "cli")


def main(arguments: Sequence[str]) -> int:
    """0 if the defect was found for what it is, 1 if not, 2 for wrong usage or a defect that fits the code no more."""
    options = _parser().parse_args(arguments)
    defect = DEFECTS[options.name]
    with tempfile.TemporaryDirectory(prefix="clarion-sabotage-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        try:
            apply(defect, tree)
        except TextNotFound as error:
            sys.stderr.write(f"{options.name} does not fit this code any more. {error}\n")
            return 2
        return _tried(options.name, defect, tree, options.seconds or defect.seconds, options.seed)


def _tried(name: str, defect: Defect, tree: Path, seconds: float, seed: int) -> int:
    environment = {**os.environ, "PYTHONPATH": str(tree), "TMPDIR": str(tree.parent)}
    _require_that_the_copy_runs(tree, environment)
    out = tree / "report"
    command = [sys.executable, "-m", "bench.chaos", "--seconds", str(seconds), "--seed", str(seed)]
    command += ["--settle", str(defect.settle), "--rate", "10", "--out", str(out), "--only", *defect.kinds]
    code = subprocess.run(command, cwd=tree, env=environment, check=False).returncode
    report = _report(out / f"chaos-{seed}.json")
    if code != 1 or report is None:
        print(f"{name}: NOT FOUND: the fault suite ended with exit code {code}; it should fail with 1 and a report")
        return 1
    if report["code"] != str(tree):
        print(f"{name}: not tried: the code of {report['code']} ran")
        return 1
    if not defect.found(report):
        print(f"{name}: NOT FOUND: the fault suite failed, but does not show {defect.sign}")
        return 1
    print(f"{name}: found, by {defect.sign}")
    return 0


def _require_that_the_copy_runs(tree: Path, environment: Mapping[str, str]) -> None:
    """An installed Clarion must not win over the copy, whatever folder its processes start in."""
    question = f"import {', '.join(_ROOMS)}; print(*({', '.join(f'{room}.__file__' for room in _ROOMS)},), sep='\\n')"
    asked = [sys.executable, "-c", question]
    answer = subprocess.run(asked, cwd=tree.parent, env=dict(environment), capture_output=True, text=True, check=True)
    strangers = [file for file in answer.stdout.split() if not file.startswith(str(tree))]
    if strangers:
        raise SystemExit(f"the copy would not run, but {strangers[0]}")


def _report(file: Path) -> dict[str, Any] | None:
    return orjson.loads(file.read_bytes()) if file.exists() else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.chaos.sabotage",
        description="Copies the code to a temporary folder, breaks it there, and runs the fault suite on it."
        " Exit code 0 only if the suite failed, and for the right reason.",
    )
    parser.add_argument("name", choices=DEFECTS, metavar="NAME", help=", ".join(DEFECTS))
    parser.add_argument("--seconds", type=float, help="of load (as the defect needs)")
    parser.add_argument("--seed", type=int, default=1, help="(1)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

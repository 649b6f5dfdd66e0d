"""Which Python `make` takes: the fastest on PATH that will do, else a word about what is needed."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "deploy" / "fastest-python"
# A build without a profile, larger than life: every allocation is written down.
SLOW = f'#!/bin/sh\nexec "{sys.executable}" -X tracemalloc=1 "$@"\n'
USUAL = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
TOO_OLD = "#!/bin/sh\necho Python 3.10.1; exit 1\n"


def folder(at: Path, text: str, name: str = "python3") -> Path:
    at.mkdir()
    (at / name).write_text(text)
    (at / name).chmod(0o755)
    return at


def chosen(*path: Path, named: str = "") -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", SCRIPT, *([named] if named else [])]
    environment = {"PATH": ":".join(map(str, path))}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_faster_one_is_taken_wherever_it_stands(tmp_path: Path) -> None:
    slow, usual = folder(tmp_path / "slow", SLOW), folder(tmp_path / "usual", USUAL, "python3.12")
    assert chosen(slow, usual).stdout == f"{usual}/python3.12\n"
    assert chosen(usual, slow).stdout == f"{usual}/python3.12\n"


def test_one_that_will_not_do_is_passed_over(tmp_path: Path) -> None:
    old, usual = folder(tmp_path / "old", TOO_OLD), folder(tmp_path / "usual", USUAL)
    assert chosen(old, usual).stdout == f"{usual}/python3\n"


def test_none_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    found = chosen(folder(tmp_path / "old", TOO_OLD))
    assert (found.returncode, found.stdout) == (2, "")
    assert "Python 3.11 or later" in found.stderr and "make PYTHON=" in found.stderr


def test_the_one_that_is_named_is_taken_if_it_will_do(tmp_path: Path) -> None:
    slow, usual, old = (
        folder(tmp_path / "slow", SLOW),
        folder(tmp_path / "usual", USUAL),
        folder(tmp_path / "o", TOO_OLD),
    )
    assert chosen(usual, named=f"{slow}/python3").stdout == f"{slow}/python3\n"
    refused = chosen(usual, named=f"{old}/python3")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "this is Python 3.10.1" in refused.stderr

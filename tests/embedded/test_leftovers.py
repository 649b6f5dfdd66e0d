"""What a killed supervisor left is ended at the next start, and nothing else is."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.embedded.leftovers import birth, end_leftovers


@pytest.fixture
def left() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True) as process:
        yield process
        process.kill()


def paper(tmp_path: Path, pid: int, born: str | None) -> Path:
    file = tmp_path / "parts.json"
    file.write_text(json.dumps({"api": {"pid": pid, "birth": born, "stop_signal": int(signal.SIGTERM)}}))
    return file


def test_a_leftover_is_stopped(tmp_path: Path, left: subprocess.Popen[bytes]) -> None:
    end_leftovers(paper(tmp_path, left.pid, birth(left.pid)))
    assert left.wait(60) == -signal.SIGTERM


def test_a_process_that_only_has_the_same_pid_is_left_alone(tmp_path: Path, left: subprocess.Popen[bytes]) -> None:
    end_leftovers(paper(tmp_path, left.pid, "long ago"))
    assert left.poll() is None


def test_a_leftover_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(); time.sleep(600)"
    command = [sys.executable, "-u", "-c", deaf]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        end_leftovers(paper(tmp_path, process.pid, birth(process.pid)), patience=0.2)
        assert process.wait(60) == -signal.SIGKILL


def test_a_damaged_paper_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "parts.json").write_text('{"api": {"pid":')
    end_leftovers(tmp_path / "parts.json")

"""What the bench reads of processes: how long they stood ready without a core."""

import os
import subprocess
import sys
import time

import pytest

from bench import processes


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_of_more_that_are_busy_than_there_are_cores_some_wait() -> None:
    crowd = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range((os.cpu_count() or 1) + 1)]
    pids = {f"part-{n}": process.pid for n, process in enumerate(crowd)}
    try:
        deadline = time.monotonic() + 30.0
        while sum(processes.waited(pids).values()) < 0.1 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert sum(processes.waited(pids).values()) >= 0.1
    finally:
        for process in crowd:
            process.kill()
            process.wait()

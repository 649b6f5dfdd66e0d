"""The supervisor with small programs: dying again and again, refusing to stop, never getting ready."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from foreground import eventually

from workers.embedded import probes
from workers.embedded.errors import StackError
from workers.embedded.leftovers import birth
from workers.embedded.service import Service
from workers.embedded.supervisor import Supervisor


def program(name: str, code: str, **options: object) -> Service:
    """A service that runs this Python code and is ready as soon as it runs."""

    async def ready() -> None:
        pass

    return Service(name, (sys.executable, "-c", code), **{"ready": ready, **options})  # type: ignore[arg-type]


def nices(pid: int) -> set[int]:
    """That of a process, above ours, and that of its session, where Linux weighs sessions first."""
    group = Path(f"/proc/{pid}/autogroup")
    said = group.read_text().split() if group.exists() else []
    return {os.getpriority(os.PRIO_PROCESS, pid) - os.nice(0), *map(int, said[-1:])}


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def supervisor(lines: list[str]) -> Supervisor:
    return Supervisor(lambda name, line: lines.append(f"{name}: {line}"))


async def test_a_part_that_keeps_dying_is_given_up_with_its_last_words(supervisor: Supervisor) -> None:
    try:
        await supervisor.start([program("broken", "import sys; sys.exit('no such thing')")])
        with pytest.raises(StackError, match=r"broken ended 6 times .* exit code 1: .*no such thing") as failure:
            await asyncio.wait_for(supervisor.failure(), 120)
        assert failure.value.exit_code == 1
    finally:
        await supervisor.stop()


async def test_a_part_that_never_answers_is_named(supervisor: Supervisor) -> None:
    for within in (0.5, 5.0, 50.0):  # on a busy machine it may not be born, and so not be asked, in the shortest time
        mute = "import time; time.sleep(60)"
        nobody = program("mute", mute, ready=lambda: probes.tcp("127.0.0.1", 1), start_within=within)
        try:
            with pytest.raises(StackError, match=rf"mute was not ready within {within:g} s: ") as failure:
                await supervisor.start([nobody])
        finally:
            await supervisor.stop()
        if "Connect" in str(failure.value):
            break
    assert "Connect" in str(failure.value)


async def test_a_part_that_will_not_stop_is_killed_after_its_grace(supervisor: Supervisor, lines: list[str]) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    await supervisor.start([program("stubborn", stubborn, grace=0.3)])
    await eventually(lambda: "stubborn: deaf" in lines)
    pid = supervisor.parts["stubborn"].pid
    await supervisor.stop()
    assert pid
    assert birth(pid) is None
    assert "stubborn: did not end within 0.3 s: killed" in lines


async def test_what_a_part_started_ends_with_it(supervisor: Supervisor, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    parent = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(file)!r}).write_text(str(child.pid))\n"
        "time.sleep(60)"
    )
    await supervisor.start([program("parent", parent, ready=lambda: probes.announced(file))])
    child = int(file.read_text())
    await supervisor.stop()
    await eventually(lambda: birth(child) is None)


async def test_a_part_gives_way_as_far_as_it_is_told(supervisor: Supervisor, lines: list[str]) -> None:
    code = "import time; print('begun', flush=True); time.sleep(60)"
    await supervisor.start([program("patient", code, nice=3), program("urgent", code)])
    await eventually(lambda: {"patient: begun", "urgent: begun"} <= set(lines))
    found = {name: nices(part.pid or 0) for name, part in supervisor.parts.items()}
    await supervisor.stop()
    assert found == {"patient": {3}, "urgent": {0}}


async def test_last_words_without_a_line_end_are_kept(supervisor: Supervisor, lines: list[str]) -> None:
    code = "import signal, sys; signal.signal(signal.SIGINT, lambda *_: (sys.stdout.write('bye'), sys.exit()))"
    service = program("polite", f"{code}; print('here', flush=True); signal.pause()", stop_signal=signal.SIGINT)
    await supervisor.start([service])
    await eventually(lambda: "polite: here" in lines)
    await supervisor.stop()
    assert lines[-1] == "polite: bye"


async def test_groups_stop_in_the_opposite_order(supervisor: Supervisor, lines: list[str]) -> None:
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit()))"
    for name in ("first", "second", "third"):
        await supervisor.start([program(name, f"{code}; print('here', flush=True); signal.pause()")])
    await eventually(lambda: sum(line.endswith("here") for line in lines) == 3)
    await supervisor.stop()
    assert [line for line in lines if line.endswith("bye")] == ["third: bye", "second: bye", "first: bye"]

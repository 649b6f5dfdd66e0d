"""What the parts of a stack take of the machine: CPU seconds and memory, with all their children."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from workers.embedded.part import Part

Pids = Mapping[str, int]
"""The first process of each part, by the part's name."""


def pids_of(services: Mapping[str, Part]) -> Pids:
    """Of those that live."""
    return {name: part.pid for name, part in services.items() if part.pid}


def cpu(pids: Pids) -> dict[str, float]:
    """CPU seconds of each part since it started."""
    return {name: sum(map(_cpu, tree)) for name, tree in trees(pids).items()}


def waited(pids: Pids) -> dict[str, float]:
    """Seconds that the threads of each part which still live were ready to run and had no core. Only Linux tells."""
    return {name: sum(map(_waited, tree)) for name, tree in trees(pids).items()}


def memory(pids: Pids) -> dict[str, float]:
    """Megabytes of each part: PSS, where what processes share is counted once."""
    return {name: sum(map(_pss, tree)) / 1e6 for name, tree in trees(pids).items()}


def between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """How much more each part has."""
    return {name: after[name] - before.get(name, 0.0) for name in after}


def trees(pids: Pids) -> dict[str, list[psutil.Process]]:
    """Each part's processes, its own first. A supervisor's children are parts themselves, and not its own."""
    found: dict[str, list[psutil.Process]] = {}
    parts = set(pids.values())
    for name, pid in pids.items():
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            supervises = any(child.pid in parts for child in root.children())
            found[name] = [root] if supervises else [root, *root.children(recursive=True)]
    return found


def _cpu(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return times.user + times.system + times.children_user + times.children_system  # children: those that ended
    return 0.0


def _waited(process: psutil.Process) -> float:
    total = 0.0
    for thread in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            total += int(thread.read_text().split()[1]) / 1e9
    return total


def _pss(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        full = process.memory_full_info()
        return getattr(full, "pss", full.rss)  # only Linux tells PSS
    return 0.0

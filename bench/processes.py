"""What the parts of a stack take of the machine: CPU seconds and memory, with all their children."""

from collections.abc import Mapping
from contextlib import suppress

import psutil

from workers.embedded.stack import Stack


def cpu(stack: Stack) -> dict[str, float]:
    """CPU seconds of each part since it started."""
    return {name: sum(map(_cpu, tree)) for name, tree in _trees(stack).items()}


def memory(stack: Stack) -> dict[str, float]:
    """Megabytes of each part: PSS, where what processes share is counted once."""
    return {name: sum(map(_pss, tree)) / 1e6 for name, tree in _trees(stack).items()}


def between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """How much more each part has."""
    return {name: after[name] - before.get(name, 0.0) for name in after}


def _trees(stack: Stack) -> dict[str, list[psutil.Process]]:
    found: dict[str, list[psutil.Process]] = {}
    for name, part in stack.services.items():
        with suppress(psutil.NoSuchProcess):
            if part.pid:
                root = psutil.Process(part.pid)
                found[name] = [root, *root.children(recursive=True)]
    return found


def _cpu(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return times.user + times.system + times.children_user + times.children_system  # children: those that ended
    return 0.0


def _pss(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        full = process.memory_full_info()
        return getattr(full, "pss", full.rss)  # only Linux tells PSS
    return 0.0

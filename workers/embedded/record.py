"""What a stack leaves in its data folder: a lock, who its processes are, and the environment other commands need."""

import fcntl
import json
import os
from pathlib import Path
from typing import IO

from workers.embedded.errors import StackError
from workers.embedded.leftovers import birth, end_leftovers
from workers.embedded.part import Part


class Record:
    """The lock and the papers of one data folder. Only one supervisor at a time holds it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._lock: IO[str] | None = None
        self._parts: dict[str, dict[str, object]] = {}

    def acquire(self) -> None:
        """Take the lock and end what an earlier supervisor left. Raises StackError when another one is running."""
        # Others may pass through but not look around: PostgreSQL runs as another user when we are root.
        try:
            self._data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
            lock = (self._data_dir / "lock").open("a+")
        except OSError as error:
            raise StackError(f"CLARION_DATA_DIR: cannot use {self._data_dir}: {error.strerror}.") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            who = lock.read().strip() or "unknown"
            lock.close()
            raise StackError(
                f"Another stack (pid {who}) runs on {self._data_dir}: stop it, or choose another CLARION_DATA_DIR."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        end_leftovers(self._parts_file)

    def note(self, part: Part) -> None:
        """Remember who this part is in its present life, for the next start should we be killed."""
        if part.pid:
            self._parts[part.name] = {
                "pid": part.pid,
                "birth": birth(part.pid),
                "stop_signal": int(part.service.stop_signal),
            }
            _write(self._parts_file, self._parts)

    def publish(self, environment: dict[str, str]) -> None:
        """Let other commands on this data folder find the running parts."""
        _write(self._environment_file, environment)

    def release(self) -> None:
        """Everything is stopped: take the papers away and give the lock back. Without the lock they are another's."""
        if self._lock is None:
            return
        for file in (self._parts_file, self._environment_file):
            file.unlink(missing_ok=True)
        self._lock.close()
        self._lock = None

    @property
    def _parts_file(self) -> Path:
        return self._data_dir / "parts.json"

    @property
    def _environment_file(self) -> Path:
        return self._data_dir / "environment.json"


def environment_of(data_dir: Path) -> dict[str, str]:
    """The `CLARION_…` variables that lead to the stack running on this folder; empty when none runs."""
    try:
        return json.loads((data_dir / "environment.json").read_text())
    except (OSError, ValueError):
        return {}


def _write(file: Path, content: object) -> None:
    """Replace a file as a whole, readable by its owner only: the environment holds passwords."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        json.dump(content, out)
    draft.replace(file)

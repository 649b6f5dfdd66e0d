"""One PostgreSQL, Valkey and Temporal for a whole test run, started by its first user, stopped after the last.

Run as a program it is the process that owns them; `shared` is how a test process joins. Every user holds a shared lock
on the file `lease`; the owner ends when it gets that lock for itself, so servers never outlive their users, even killed
ones.
"""

import asyncio
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

START_WITHIN = 60.0


@dataclass(frozen=True)
class Servers:
    """Where they are. `database_url` leads to an empty database from which others can be created and dropped."""

    database_url: str
    redis_url: str
    temporal_address: str


@contextmanager
def shared(folder: Path) -> Iterator[Servers]:
    """The servers of this test run; `folder` is the same for all its processes."""
    with (folder / "lease").open("w") as lease:
        with locked(folder):
            if not (folder / "servers.json").exists():
                _start(folder)
            fcntl.flock(lease, fcntl.LOCK_SH)
        yield Servers(**json.loads((folder / "servers.json").read_text()))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process of the run at a time."""
    with (folder / "joining").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(folder: Path) -> None:
    log = folder / "servers.log"
    with log.open("a") as out:
        started = subprocess.run(
            [sys.executable, __file__, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            check=False,
        )
    if started.returncode != 0:
        raise RuntimeError(f"the test servers did not start:\n{log.read_text()}")


def start_owner(folder: Path) -> int:
    """Leave a child behind that owns the servers; return 0 when they are ready."""
    owner = os.fork()
    if owner == 0:
        asyncio.run(own(folder))
        return 0
    deadline = time.monotonic() + START_WITHIN
    while not (folder / "servers.json").exists():
        if os.waitpid(owner, os.WNOHANG)[0] == owner:
            return 1
        if time.monotonic() > deadline:
            os.kill(owner, signal.SIGKILL)
            return 1
        time.sleep(0.05)
    return 0


async def own(folder: Path) -> None:
    """Run the servers until nobody uses them any more."""
    from settings import Settings
    from workers.embedded.foundation import Foundation
    from workers.embedded.output import to_terminal
    from workers.embedded.ports import free_ports
    from workers.embedded.supervisor import Supervisor
    from workers.embedded.temporal import Ports

    data = folder / "servers"
    data.mkdir(mode=0o711)
    postgres, valkey, frontend, http, metrics = free_ports(5)
    settings = Settings(database_url=None, redis_url=None, temporal_address=None)
    ports = Ports(frontend, http, metrics)
    foundation = Foundation(settings, data, postgres_port=postgres, valkey_port=valkey, temporal_ports=ports)
    supervisor = Supervisor(to_terminal())
    try:
        await foundation.start(supervisor)
        _publish(folder, Servers(foundation.database_url, foundation.redis_url, foundation.temporal_address))
        await _unused(folder)
    finally:
        await supervisor.stop()
        shutil.rmtree(data, ignore_errors=True)


def _publish(folder: Path, servers: Servers) -> None:
    draft = folder / "servers.new"
    draft.write_text(json.dumps(asdict(servers)))
    draft.replace(folder / "servers.json")


async def _unused(folder: Path) -> None:
    """Wait until no process of the run is left, and take the address away before a new one could read it."""
    with (folder / "lease").open("w") as lease:
        while True:
            await asyncio.sleep(0.2)
            if _last_one_left(folder, lease):
                return


def _last_one_left(folder: Path, lease: IO[str]) -> bool:
    with (folder / "joining").open("w") as joining:
        try:
            fcntl.flock(joining, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        (folder / "servers.json").unlink()
        return True


if __name__ == "__main__":
    sys.exit(start_owner(Path(sys.argv[1])))

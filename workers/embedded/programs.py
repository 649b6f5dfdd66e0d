"""Clarion's own processes as parts of the stack: the migration, the sandbox, the API, the workers."""

import asyncio
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from workers import ready
from workers.embedded import probes
from workers.embedded.errors import StackError
from workers.embedded.lines import LinePipe
from workers.embedded.part import launched
from workers.embedded.service import Service, Sink

CLARION = (sys.executable, "-m", "cli.main")
_GIVES_WAY = 3  # nice: half the weight of the others. With 6 a flood held up its neighbour in the workers


@dataclass(frozen=True)
class Programs:
    """The commands. Each worker has a name and serves the queues it says; by default high priority has its own.

    `apis`: how many API processes; vendors report to the first.
    """

    migrate: tuple[str, ...] = (*CLARION, "migrate")
    api: tuple[str, ...] = (*CLARION, "api")
    sandbox: tuple[str, ...] = (sys.executable, "-m", "sandbox")
    workers: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("worker-high", (*CLARION, "worker", "--queues", "high")),
        ("worker-rest", (*CLARION, "worker", "--queues", "rest")),
    )
    apis: int = 1


async def run_once(name: str, argv: tuple[str, ...], env: Mapping[str, str], sink: Sink) -> None:
    """Run a command to its end. Raises StackError with its last lines when it fails."""
    pipe = await LinePipe.open(lambda line: sink(name, line))
    try:
        process = await asyncio.create_subprocess_exec(
            *launched(argv, user=None, orphan_signal=signal.SIGKILL),
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe.write_end,
            stderr=pipe.write_end,
            start_new_session=True,
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            process.kill()
            raise
    finally:
        await pipe.close()
    if code != 0:
        raise StackError(f"{name} failed with exit code {code}: {' | '.join(pipe.lines.last)}", exit_code=1)


def sandbox(
    argv: tuple[str, ...], env: Mapping[str, str], *, port: int, smtp_port: int, data_dir: Path, callbacks: str
) -> Service:
    """The vendors to play with, on two ports, sending their receipts to `callbacks`."""
    options = (
        "--port",
        str(port),
        "--smtp-port",
        str(smtp_port),
        "--data-dir",
        str(data_dir),
        "--callback-url",
        callbacks,
    )
    return Service("sandbox", (*argv, *options), ready=lambda: probes.http("127.0.0.1", port, "/"), env=env)


def api(name: str, argv: tuple[str, ...], env: Mapping[str, str], *, url: str) -> Service:
    """An API at this URL, ready when it says that it lives."""
    address = urlsplit(url)
    host, port = address.hostname or "127.0.0.1", address.port or 80
    here = {**env, "CLARION_PORT": str(port)}
    return Service(name, argv, ready=lambda: probes.http(host, port, "/livez"), env=here, grace=20.0)


def worker(name: str, argv: tuple[str, ...], env: Mapping[str, str], *, data_dir: Path) -> Service:
    """A worker, ready when it has announced itself. Its grace covers the vendor calls it is in.

    But for those of high priority it gives way to who is waited for: the API, and the servers under it.
    """
    file = data_dir / f"{name}.ready"
    return Service(
        name,
        argv,
        ready=lambda: probes.announced(file),
        env={**env, ready.VARIABLE: str(file)},
        grace=20.0,
        nice=0 if "high" in name else _GIVES_WAY,
    )

"""A load in a process of its own, so that it shares no event loop with who starts and checks it.

`python -m bench.driver` reads a `Load` as JSON from standard input and writes what came of it to standard output.
"""

import asyncio
import os
import random
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import uvloop

from bench.finding import Untried
from bench.load import PRIORITIES, Result, Target, body_of, run

_KEYED = 10  # one request of so many has an idempotency key


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent where. With `rate` (a second) open loop, else closed loop. `seconds` or `count` end it.

    `promised`: the file for what is accepted. `rest`: seconds a client stays away after a 429 or 503.
    """

    url: str
    key: str | None
    token: str
    clients: int
    promised: str | None = None
    count: int | None = None
    seconds: float | None = None
    rate: float | None = None
    channels: tuple[str, ...] = ("email",)
    shares: tuple[tuple[str, float], ...] = PRIORITIES
    recipients: int = 1
    rest: float = 0.0


async def offered(load: Load) -> Result:
    """What came of it, in another process. Raises Untried when that breaks."""
    result = await told("bench.driver", asdict(load))
    result["refused"] = {int(status): n for status, n in result["refused"].items()}
    return Result(**result)


async def told(module: str, said: dict[str, Any]) -> dict[str, Any]:
    """What a module of ours, run as a process, answers to this. JSON both ways. Raises Untried when it breaks."""
    # A file, for through a pipe the end of a long answer got lost when the process ended first.
    with tempfile.TemporaryFile() as answer:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module), stdin=asyncio.subprocess.PIPE, stdout=answer
        )
        try:
            await process.communicate(orjson.dumps(said))
        except asyncio.CancelledError:
            process.kill()
            raise
        if process.returncode:
            raise Untried(f"{module} ended with exit code {process.returncode}")
        answer.seek(0)
        return orjson.loads(answer.read())


async def _drive(load: Load) -> Result:
    chance = random.Random(load.token)
    result = await run(
        Target(load.url, load.key),
        clients=load.clients,
        make_body=lambda n: body_of(
            n, load.token, chance, load.channels, shares=load.shares, recipients=load.recipients
        ),
        key_of=lambda n: None if n % _KEYED else f"{load.token}-{n}",
        seconds=load.seconds,
        count=load.count,
        rate=load.rate,
        accepted_ids=Path(load.promised) if load.promised else None,
        rest=load.rest,
    )
    times = os.times()
    result.cpu = times.user + times.system
    return result


def _main() -> None:
    said = orjson.loads(sys.stdin.buffer.read())
    result = uvloop.run(_drive(Load(**said)))
    sys.stdout.buffer.write(orjson.dumps(asdict(result), option=orjson.OPT_NON_STR_KEYS))


if __name__ == "__main__":
    _main()

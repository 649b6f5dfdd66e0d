"""`python -m bench.fuzz`: made-up requests to every route and bent webhooks; exit code 1 when something gave way."""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from api.server import open_door, running_api
from bench.fuzz import routes, webhooks
from bench.fuzz.house import House, opened
from bench.fuzz.report import Run, show, shown_progress
from cli import output
from observe import logs
from workers.embedded.errors import StackError

_PHASES = "examples,coverage,fuzzing,stateful"


async def _play(asked: argparse.Namespace) -> Run:
    async with opened() as house:
        tried = await _routes(house, asked) if asked.examples else []
        bent = await _webhooks(house, asked) if asked.webhooks else webhooks.Outcome()
    return Run(asked.seed, tried, bent)


async def _routes(house: House, asked: argparse.Namespace) -> list[routes.Outcome]:
    tried: list[routes.Outcome] = []
    async with running_api(house.settings) as url:
        for caller, key in house.keys.items():
            output.note(f"{time.strftime('%H:%M:%S')} requests to every route, as {caller}")
            tried.append(
                await routes.run(
                    url, caller, key, phases=asked.phases, examples=asked.examples, seed=asked.seed, out=asked.out
                )
            )
    return tried


async def _webhooks(house: House, asked: argparse.Namespace) -> webhooks.Outcome:
    output.note(f"{time.strftime('%H:%M:%S')} bent webhooks")
    with shown_progress(asked.webhooks) as progress:
        async with open_door(house.settings) as (door, _):
            return await webhooks.run(
                door, house.db, house.schemes, calls=asked.webhooks, seed=asked.seed, progress=progress
            )


def main() -> int:
    """Returns the exit code: 1 when something gave way, 2 when it could not be tried."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=80, help="made-up requests a route, phase and caller; 0: none")
    parser.add_argument("--phases", default=_PHASES, help="of schemathesis (default: %(default)s)")
    parser.add_argument("--webhooks", type=int, default=112_000, help="bent webhook calls; 0: none")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same run")
    parser.add_argument("--out", type=Path, default="bench/out/fuzz", help="where reports go (default: %(default)s)")
    asked = parser.parse_args()
    asked.out = asked.out.resolve()
    asked.out.mkdir(parents=True, exist_ok=True)
    logs.configure("error", "text")
    try:
        run = asyncio.run(_play(asked))
    except (StackError, routes.FuzzError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    show(run)
    return int(bool(run.findings))


if __name__ == "__main__":
    sys.exit(main())

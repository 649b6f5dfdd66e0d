"""`python -m bench.peers celery|dbos`: how fast a peer does the job of `burst`, by its best setting or by all of them.

Prints one JSON line for each setting, then a table. 1: something was lost.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from bench import peers
from bench.peers.choices import CELERY_BEST, DBOS_BEST
from bench.peers.sweep import Swept, swept
from cli import output
from workers.embedded.errors import StackError

OUT = Path(__file__).parents[1] / "out" / "peers"
COLUMNS = (
    "setting",
    "notifications",
    "through/s",
    "accepted/s",
    "sent/s",
    "accept p50",
    "accept p99",
    "CPU of each",
    "lost",
    "doubled",
)

Opening = Callable[[], AbstractAsyncContextManager[peers.Peer]]


def _openings(name: str) -> Mapping[str, Opening]:
    """Every setting of the peer's sweep, with what starts it."""
    if name == "celery":
        return {each: partial(peers.celery, _log(name, each), its) for each, its in peers.CELERY_SWEEP.items()}
    return {each: partial(peers.dbos, _log(name, each), its) for each, its in peers.DBOS_SWEEP.items()}


def _log(name: str, setting: str) -> Path:
    return OUT / f"{name}-{setting}.log"


def _row(each: Swept) -> list[str]:
    rates = [f"{rate:.0f}" for rate in (each.through, each.accepted, each.sent)]
    times = [f"{milliseconds:.0f} ms" for milliseconds in (each.accept_p50, each.accept_p99)]
    cpu = f"{sum(each.cpu.values()):.2f} ms"
    return [each.setting, str(each.notifications), *rates, *times, cpu, str(each.lost), str(each.doubled)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peer", choices=["celery", "dbos"])
    parser.add_argument("--seconds", type=float, default=15, help="of load, for each setting (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=256, help="connections (default: %(default)s)")
    parser.add_argument("--sweep", nargs="?", const="*", metavar="GLOB", help="all settings, or those so named")
    return parser.parse_args()


async def _run(given: argparse.Namespace) -> list[Swept]:
    best = CELERY_BEST if given.peer == "celery" else DBOS_BEST
    found: list[Swept] = []
    for setting, opening in _openings(given.peer).items():
        if fnmatch(setting, given.sweep or best):
            _log(given.peer, setting).unlink(missing_ok=True)
            found.append(await swept(given.peer, setting, opening, seconds=given.seconds, clients=given.clients))
            output.record(found[-1].line())
    return found


def main() -> int:
    """Returns the exit code: 1 when something accepted was lost, 2 when it could not be tried."""
    given = _arguments()
    try:
        found = asyncio.run(_run(given))
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    ordered = sorted(found, key=lambda each: -each.through)
    output.table(COLUMNS, [_row(each) for each in ordered], none="no setting has such a name")
    return int(not found or any(each.lost for each in found))


if __name__ == "__main__":
    sys.exit(main())

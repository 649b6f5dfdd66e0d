"""`python -m bench.chaos`: run the fault suite. Exit code 0 only if nothing is lost and every duplicate was counted."""

import argparse
import asyncio
import logging
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.chaos.plan import KINDS
from bench.chaos.report import Run, markdown, write
from bench.chaos.running import ROOT, Wanted, run
from bench.chaos.telling import Telling
from observe import logs
from workers.embedded.errors import StackError

_FAILED, _WRONG, _INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 1 for a run that is not clean or could not be finished, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    wanted = Wanted(options.seconds, options.seed, options.rate, options.settle, options.only, options.every)
    folder = Path(tempfile.mkdtemp(prefix="clarion-chaos-"))
    logs.configure("error", "text")
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # that connections die under their probes is the idea
    try:
        done = asyncio.run(_interruptible(wanted, folder))
    except (KeyboardInterrupt, asyncio.CancelledError):
        shutil.rmtree(folder, ignore_errors=True)
        return _INTERRUPTED
    except StackError as error:
        sys.stderr.write(f"{error} What every part wrote is in {folder / 'parts.log'}\n")
        return error.exit_code
    file = write(done, options.out)
    print(markdown(done))
    print(f"Written to {file} and {file.with_suffix('.json').name}")
    if done.verdict.clean:
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    print(f"What every part wrote, the accepted ids and the vendors' log are in {folder}")
    return _FAILED


async def _interruptible(wanted: Wanted, folder: Path) -> Run:
    """SIGTERM stops everything as Ctrl-C does."""
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with Telling() as tell:
        return await run(wanted, folder, tell)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.chaos",
        description="Random but seeded faults under a load with known content; then everything is held against"
        " everything. Needs nothing running; starts all on free ports in a temporary folder.",
    )
    parser.add_argument("--seconds", type=_positive, default=600, help="of load (600)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same faults and requests (1)")
    parser.add_argument("--rate", type=_positive, default=30, help="requests a second (30)")
    parser.add_argument("--settle", type=_positive, default=240, help="seconds all may take to its end (240)")
    parser.add_argument("--only", nargs="+", default=(), metavar="KIND", choices=[kind.name for kind in KINDS],
                        help=f"only these faults: {', '.join(kind.name for kind in KINDS)}")  # fmt: skip
    parser.add_argument("--every", type=_positive, help="seconds between faults (so that every kind has its time)")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "out", metavar="FOLDER", help="(bench/out)")
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if number <= 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

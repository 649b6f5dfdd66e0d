"""`python -m bench.failover [case ...]`: plays the cases that are not kept yet, or the named ones anew; 1: broken."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from bench.failover import report
from bench.failover.cases import CASES, Case
from bench.failover.judging import judged
from bench.failover.play import play
from bench.keeping import chosen
from bench.places import new_log
from cli import output
from workers.embedded.errors import StackError


async def _play_all(cases: Sequence[Case], kept: report.Kept) -> None:
    for n, case in enumerate(cases, 1):
        output.note(f"{time.strftime('%H:%M:%S')} {case.name} ({n} of {len(cases)})")
        kept.add(judged(await play(case, new_log("failover", case.name))))


def main() -> int:
    """Returns the exit code: 1 when a promise was broken, 2 when it could not be tried."""
    parser = argparse.ArgumentParser(prog="python -m bench.failover", description=__doc__)
    names = ", ".join(case.name for case in CASES)
    parser.add_argument("cases", nargs="*", metavar="case", help=f"names or globs of: {names}")
    kept = report.Kept()
    cases = chosen(patterns := parser.parse_args().cases, CASES, kept.findings)
    if patterns and not cases:
        parser.error(f"no such case; there are {names}")
    try:
        asyncio.run(_play_all(cases, kept))
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        report.show(kept.findings)
    return int(any(finding.broken for finding in kept.findings))


if __name__ == "__main__":
    sys.exit(main())

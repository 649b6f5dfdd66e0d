"""`python -m bench [case ...]`: plays the cases that are not kept yet, or the named ones anew.

Exit code 1: a promise was broken (something was lost, or sent twice uncounted); 2: it could not be tried;
3: all promises were kept, and a figure missed its bound.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatch

from bench import report
from bench.cases import CASES, Case
from bench.failover.report import OUT
from bench.finding import Finding
from cli import output
from workers.embedded.errors import StackError


def _chosen(patterns: Sequence[str], kept: report.Kept) -> list[Case]:
    """The named ones; without names those that are missing."""
    if patterns:
        return [case for case in CASES if any(fnmatch(case.name, pattern) for pattern in patterns)]
    done = {finding.case for finding in kept.findings}
    return [case for case in CASES if case.name not in done]


async def _play_all(cases: Sequence[Case], kept: report.Kept) -> None:
    for n, case in enumerate(cases, 1):
        output.note(f"{time.strftime('%H:%M:%S')} {case.name} ({n} of {len(cases)}): {case.says}")
        log = OUT / "bench" / f"{case.name}.log"
        log.unlink(missing_ok=True)
        started = time.monotonic()
        played = await case.play(log)
        seconds = round(time.monotonic() - started, 1)
        found = Finding(case.name, seconds, played.figures, played.broken, played.series)
        kept.add(found)
        output.say(kept.line(found).decode())


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = ", ".join(case.name for case in CASES)
    parser.add_argument("cases", nargs="*", metavar="case", help=f"names or globs of: {names}")
    kept = report.Kept()
    cases = _chosen(patterns := parser.parse_args().cases, kept)
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
    if any(finding.broken for finding in kept.findings):
        return 1
    return 3 if any(finding.missed for finding in kept.findings) else 0


if __name__ == "__main__":
    sys.exit(main())

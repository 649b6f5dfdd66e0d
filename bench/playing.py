"""Plays cases one after the other, keeps what each found, and shows all of it."""

import asyncio
import sys
import time
from collections.abc import Sequence

from bench import report
from bench.cases import CASES, Case
from bench.finding import Finding, Untried
from bench.keeping import chosen
from bench.places import new_log
from cli import output
from workers.embedded.errors import StackError

NAMES = tuple(case.name for case in CASES)

BROKEN, UNTRIED, MISSED = 1, 2, 3
"""Exit codes: something was lost, doubled uncounted or not ended; a case could not be played; a figure was missed."""


class Unknown(Exception):
    """No case is called so."""


def play(patterns: Sequence[str]) -> int:
    """The cases so named, by globs, anew; without names those that are not kept yet. Returns the exit code.

    Raises Unknown before anything is played.
    """
    kept = report.Kept()
    cases = chosen(patterns, CASES, kept.findings)
    if patterns and not cases:
        raise Unknown(f"no such case; there are {', '.join(NAMES)}")
    try:
        asyncio.run(_play_all(cases, kept))
    except (StackError, Untried) as error:
        sys.stderr.write(f"{error}\n")
        return UNTRIED
    except KeyboardInterrupt:
        return 130
    finally:
        report.show(kept.findings)
    if any(finding.broken for finding in kept.findings):
        return BROKEN
    return MISSED if any(finding.missed for finding in kept.findings) else 0


async def _play_all(cases: Sequence[Case], kept: report.Kept) -> None:
    for n, case in enumerate(cases, 1):
        output.note(f"{time.strftime('%H:%M:%S')} {case.name} ({n} of {len(cases)}): {case.says}")
        started, log = time.monotonic(), new_log("bench", case.name)
        played = await case.play(log)
        seconds = round(time.monotonic() - started, 1)
        found = Finding(case.name, seconds, played.figures, played.broken, played.series)
        kept.add(found)
        output.say(kept.line(found).decode())

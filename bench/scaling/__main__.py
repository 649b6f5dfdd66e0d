"""`python -m bench.scaling`: what 1, 10 and 100 times the load of the goal need, by the model of docs/scaling.md.

`--check` plays three rounds of 20 s here and says what the model foretold of the last, and what was measured.
Exit code 1: something was lost, sent twice uncounted or not ended; 2: a round could not be played.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict

from bench.cases.burst import GOAL
from bench.finding import Untried
from bench.places import new_log
from bench.scaling import check
from bench.scaling.costs import Costs, known
from bench.scaling.model import Plan, plan
from bench.scaling.tables import TIMES, limits, needs
from cli import output
from workers.embedded.errors import StackError


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--check", action="store_true", help="hold it against this machine: about two minutes")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    wanted = parser.parse_args()
    if wanted.check:
        return _checked(wanted.json)
    costs = known()
    _show(costs, [plan(costs, GOAL * times) for times in TIMES], wanted.json)
    return 0


def _show(costs: Costs, plans: Sequence[Plan], as_json: bool) -> None:
    if as_json:
        output.document({"costs": asdict(costs), "plans": [asdict(each) for each in plans]})
        return
    columns = ("for notifications a second", *(f"{each.rate:,.0f}" for each in plans))
    output.table(columns, needs(costs, plans), none="")
    output.table(("share of a limit", *columns[1:], "limit", "then"), limits(plans), none="")
    output.say(f"Costs: {costs.source}.")


def _checked(as_json: bool) -> int:
    try:
        one, small, several = asyncio.run(_rounds())
    except (StackError, Untried) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    costs = check.costs_of(one, small)
    foretold = check.predicted(one, costs, several.cores, apis=2)
    if as_json:
        output.document({"costs": asdict(costs), "foretold": asdict(foretold), "measured": asdict(several)})
    else:
        rows = [
            [f"{stage}, µs", f"{foretold.micros[stage]:,.0f}", f"{several.micros(stage):,.0f}"] for stage in several.cpu
        ]
        rows.append(["notifications in a run", f"{foretold.size:,.0f}", f"{several.size:,.0f}"])
        rows.append([f"notifications/s, by {several.cores:.2f} cores", f"{foretold.rate:,.0f}", f"{several.rate:,.0f}"])
        output.table(("for a notification, two APIs and four workers", "foretold", "measured"), rows, none="")
    broken = [*one.broken, *small.broken, *several.broken]
    for reason in broken:
        output.note(reason)
    return int(bool(broken))


async def _rounds() -> list[check.Round]:
    """One API, the same with small batches, two APIs with two workers for each set of queues."""
    rounds: list[check.Round] = []
    for name, apis, each, settings in (("one", 1, 1, None), ("small", 1, 1, check.SMALL), ("several", 2, 2, None)):
        seen = await check.played(new_log("scaling", name), apis, each, settings)
        output.note(f"{name}: {seen.rate:,.0f}/s, {seen.size:,.0f} in a run, {seen.cores:.2f} cores")
        rounds.append(seen)
    return rounds


if __name__ == "__main__":
    sys.exit(main())

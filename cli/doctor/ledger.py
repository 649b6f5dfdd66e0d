"""The command `clarion doctor ledger`: proves that the ledger keeps its promises, or shows where it does not."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import options, output
from cli.errors import FAILED, WRONG, Failure
from cli.ledger import asked
from cli.progress import Progress

if TYPE_CHECKING:
    from ledger.checking.outside import Outside
    from ledger.checking.report import Report
    from ledger.database import Database

_A_FILE = {"exists": True, "dir_okay": False, "readable": True, "metavar": "FILE"}


def ledger(
    *,
    accepted: Annotated[
        Path | None,
        typer.Option(**_A_FILE, help="Ids that got a 202, one a line (`{n} {id}` or the id): each must be there."),
    ] = None,
    vendor_log: Annotated[
        Path | None,
        typer.Option(**_A_FILE, help="The sandbox's log.jsonl: what vendors took. Only while nothing is being sent."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Check every row and event of the ledger. Exit code 1 if anything is wrong.

    It only reads, page by page, and judges by rules of its own: states, counters, histories, dead letters, ends.
    It can run while Clarion works; a large ledger takes minutes.

    \b
    Examples:
      clarion doctor ledger
      clarion doctor ledger --accepted accepted.txt --vendor-log .clarion/sandbox/log.jsonl
    """
    from ledger.checking.outside import Outside, Takes, accepted_ids

    with ExitStack() as stack:
        try:
            takes = stack.enter_context(Takes(vendor_log)) if vendor_log else None
        except (OSError, ValueError) as error:
            raise Failure(str(error), exit_code=WRONG) from None
        outside = Outside(accepted=accepted_ids(accepted) if accepted else (), takes=takes)
        report = asked(lambda db: _checked(db, outside))
    show(report, as_json=as_json)
    if not report.clean:
        raise typer.Exit(FAILED)


def show(report: "Report", *, as_json: bool) -> None:
    """The report as a table with the first offenders below it, or as one JSON document."""
    if as_json:
        output.document(document(report))
        return
    from ledger.checking.report import TITLES

    rows = [
        (name.value, "ok" if not tally.wrong else "wrong", str(tally.checked), str(tally.wrong), TITLES[name])
        for name, tally in sorted(report.tallies.items(), key=lambda each: list(TITLES).index(each[0]))
    ]
    output.table(("invariant", "state", "checked", "wrong", "what holds"), rows, none="The ledger is empty.")
    for name, tally in report.tallies.items():
        for offender in tally.first:
            output.say(f"{name.value}: {offender.id}: {offender.why}")


def document(report: "Report") -> dict[str, Any]:
    """The report as JSON shows it."""
    from ledger.checking.report import TITLES

    return {
        "clean": report.clean,
        "deliveries": dict(report.ended),
        "untaken": dict(report.untaken),
        "taken": report.taken,
        "taken_again": report.extra,
        "invariants": [
            {"name": name.value, "holds": TITLES[name], **asdict(tally)} for name, tally in report.tallies.items()
        ],
    }


async def _checked(db: "Database", outside: "Outside") -> "Report":
    from ledger.checking.checker import check

    total = (await db.run("SELECT count(*) FROM batch"))[0][0]
    with Progress("Checking batches", total) as progress:
        return await check(db, outside, at=progress.at)

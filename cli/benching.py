"""`clarion bench`: the performance report, as `make bench` makes it."""

from typing import Annotated

import typer

from cli.errors import WRONG, Failure


def bench(
    cases: Annotated[
        list[str] | None, typer.Argument(metavar="CASE", help="Names or globs; none: all that are not kept yet.")
    ] = None,
) -> int:
    """Measure this machine: bursts, latencies, costs, and others beside Clarion; 45 minutes in all.

    Prints a JSON line a case and a table; plots and report.md go to bench/out. Exit codes: 1 a promise was broken,
    2 a case could not be played, 3 a figure missed its bound.
    """
    try:
        from bench.playing import Unknown, play
    except ImportError as error:
        raise Failure(
            f"{error.name} is missing: install clarion[bench], or use `make bench`.", exit_code=WRONG
        ) from None
    try:
        return play(cases or [])
    except Unknown as unknown:
        raise Failure(str(unknown), exit_code=WRONG) from None

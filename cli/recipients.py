"""`clarion recipients`: the tenant's address book."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from cli import importing, options, output
from cli.client import Api, segment
from cli.errors import FAILED, WRONG, Failure
from cli.progress import Progress

app = typer.Typer(help="The address book: who can be reached where.")

Id = Annotated[str, typer.Argument(metavar="ID", help="Your own name for this person.")]


@app.command()
def put(
    id: Id,
    *,
    email: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where emails go.")] = None,
    phone: Annotated[str | None, typer.Option(metavar="NUMBER", help="E.164, such as +14155550100.")] = None,
    push_token: Annotated[str | None, typer.Option(metavar="TOKEN", help="Of an app on a device.")] = None,
    address: Annotated[
        list[str] | None, typer.Option(metavar="FIELD=ADDRESS", help="For a channel added later. Repeatable.")
    ] = None,
    locale: Annotated[str | None, typer.Option(metavar="TAG", help="Such as pt-BR.")] = None,
    timezone: Annotated[str | None, typer.Option(metavar="NAME", help="Such as America/Sao_Paulo.")] = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Store a person, in place of what was there.

    \b
    Example:
      clarion recipients put user123 --email ann@example.com --phone +14155550100
    """
    person = {"email": email, "phone": phone, "push_token": push_token, "locale": locale, "timezone": timezone}
    body = {name: value for name, value in person.items() if value is not None} | _addresses(address or [])
    with Api.found(url) as api:
        _tell(api.call("PUT", _path(id), body), as_json=as_json)


@app.command()
def get(id: Id, *, url: options.Url = None, as_json: options.Json = False) -> None:
    """Show a person."""
    with Api.found(url) as api:
        _tell(api.get(_path(id)), as_json=as_json)


@app.command()
def delete(id: Id, *, url: options.Url = None) -> None:
    """Erase a person: from the book and from every notification. Only counts stay; what waits is cancelled."""
    with Api.found(url) as api:
        api.call("DELETE", _path(id))
    output.note(f"Erased {id}.")


@app.command("list")
def list_(
    *,
    prefix: Annotated[str | None, typer.Option(metavar="TEXT", help="Whose id begins so.")] = None,
    limit: options.Limit = 50,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """List people by id."""
    with Api.found(url) as api:
        found = [each for page in api.pages("/recipients", limit, prefix=prefix) for each in page["data"]]
    if as_json:
        output.document(found)
        return
    names = ("id", "email", "phone", "push_token", "locale", "timezone")
    output.table(names, [[each.get(name) for name in names] for each in found], none="Nobody.")


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A CSV file in UTF-8; - for standard input.")],
    *,
    errors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what is wrong here, as CSV: line, column, why.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look at every line, and store nothing.")] = False,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Store many people from a CSV file, each in place of what was there.

    The first line names the columns, in any order: id, email, phone, push_token, locale, timezone. Lines that are
    wrong are told and left out, all others are stored. It may be broken off and begun again: the same lines store the
    same people. Exit code 0: all lines were taken, 1: some were not.

    \b
    Examples:
      clarion recipients import people.csv --errors wrong.csv
      zcat people.csv.gz | clarion recipients import -
    """
    tally = _imported(file, errors, url, dry_run=dry_run)
    if as_json:
        wrong = [asdict(each) for each in tally.shown]
        output.document({"stored": tally.stored, "new": tally.new, "wrong": tally.wrong_lines, "errors": wrong})
    else:
        for each in tally.shown:
            output.note(f"Line {each.line}{f', {each.column}' if each.column else ''}: {each.why}")
        output.say(f"{'Would be stored' if dry_run else 'Stored'}: {tally.stored}. Wrong lines: {tally.wrong_lines}.")
    if tally.wrong_lines:
        raise typer.Exit(FAILED)


def _imported(file: str, errors: Path | None, url: str | None, *, dry_run: bool) -> importing.Tally:
    tally = importing.Tally()
    with ExitStack() as stack:
        source = stack.enter_context(importing.Source(file))
        report = importing.Report(stack.enter_context(_opened(errors)) if errors else None)
        store = stack.enter_context(importing.Store(url, dry_run=dry_run))
        bar = stack.enter_context(Progress("importing", source.size))
        for chunk, results in store.results(importing.chunks(importing.entries(source), tally, report)):
            for entry, result in zip(chunk, results, strict=True):
                faults = importing.refusals(entry, result)
                if faults:
                    tally.refuse(faults)
                    report.write(faults)
                else:
                    tally.stored += 1
                    tally.new += result["status"] == 201
            bar.at(source.done)
    return tally


def _opened(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}.", exit_code=WRONG) from None


def _path(id: str) -> str:
    return f"/recipients/{segment(id)}"


def _addresses(given: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise typer.BadParameter(f"{text!r} is not FIELD=ADDRESS", param_hint="--address")
        found[name] = value
    return found


def _tell(person: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.document(person)
    else:
        output.pairs(person)

"""`clarion recipients`: the tenant's address book."""

from typing import Annotated, Any

import typer

from cli import options, output
from cli.client import Api, segment

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
    """Remove a person. What was accepted before keeps the address it got."""
    with Api.found(url) as api:
        api.call("DELETE", _path(id))
    output.note(f"Removed {id}.")


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

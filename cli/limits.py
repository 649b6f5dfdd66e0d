"""`clarion tenants limits`: what a tenant may send."""

import json
from typing import Annotated, Any

import typer

from cli import options, output
from cli.errors import Failure
from cli.ledger import asked, me

_SET = "As name=value, the value as JSON; name= takes it back. Repeat it for several."


def limits(
    id: Annotated[str, typer.Argument(metavar="ID", help="The tenant's id.")],
    *,
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=_SET)] = None,
    as_json: options.Json = False,
) -> None:
    """Show what a tenant may send, or change it. API processes obey within two seconds.

    \b
    Examples:
      clarion tenants limits acme
      clarion tenants limits acme --set requests_per_second=50 --set burst=100
      clarion tenants limits acme --set 'daily={"sms": 1000}' --set 'per_recipient=[{"n": 5, "seconds": 3600}]'
      clarion tenants limits acme --set burst=
    """
    from domain.limits import Limits, changed
    from ledger import limits as kept
    from settings import Settings

    own = _there(id, asked(lambda db: kept.changes_of(db, id)))
    if changes:
        for change in changes:
            name, value = _parsed(change)
            own = {field: each for field, each in own.items() if field != name} | value
        asked(lambda db: kept.put(db, id, own, me()))
    shown = changed(Limits(), {**Settings.load().limits, **own}).model_dump(mode="json")
    if as_json:
        output.document({"limits": shown, "own": own})
        return
    rows = [(name, json.dumps(value), "its own" if name in own else "") for name, value in shown.items()]
    output.table(("limit", "value", ""), rows, none="")


def _there(id: str, own: Any) -> dict[str, Any]:
    if own is None:
        raise Failure(f"{id}: there is no such tenant: `clarion tenants list` shows all.")
    return dict(own)


def _parsed(change: str) -> tuple[str, dict[str, Any]]:
    name, equals, text = change.partition("=")
    try:
        if not equals:
            raise ValueError
        return name, {name: json.loads(text)} if text else {}
    except ValueError:
        raise typer.BadParameter(f"{change!r} is not NAME=VALUE with a value in JSON", param_hint="--set") from None

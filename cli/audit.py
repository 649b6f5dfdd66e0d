"""`clarion audit`: who did what."""

from dataclasses import asdict
from typing import Annotated

import typer

from cli import moments, options, output
from cli.ledger import asked
from cli.notifications import when


def audit(
    *,
    tenant: Annotated[str | None, typer.Option(metavar="ID", help="Of this tenant only.")] = None,
    action: Annotated[str | None, typer.Option(metavar="NAME", help="Such as key.revoke.")] = None,
    since: options.Since = None,
    limit: options.Limit = 50,
    as_json: options.Json = False,
) -> None:
    """Show administrative acts, newest first. Asks the database itself.

    \b
    Examples:
      clarion audit --since 7d
      clarion audit --tenant acme --action key.revoke --json
    """
    from ledger import audit as log

    begin = moments.parsed(since) if since else None
    found = asked(lambda db: log.listed(db, limit, tenant=tenant, action=action, since=begin))
    if as_json:
        output.document([asdict(act) | {"at": moments.written(act.at), "detail": dict(act.detail)} for act in found])
        return
    rows = [(when(moments.written(a.at)), a.actor, a.action, a.subject, a.tenant, _detail(a.detail)) for a in found]
    output.table(("when", "who", "did", "to", "tenant", "detail"), rows, none="Nothing was done.")


def _detail(detail: object) -> str:
    assert isinstance(detail, dict)
    return ", ".join(f"{name} {value}" for name, value in detail.items())

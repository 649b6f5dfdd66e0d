"""`clarion tenants`: whose notifications these are."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import moments, options, output
from cli.errors import Failure
from cli.ledger import asked

if TYPE_CHECKING:
    from ledger.tenants import Tenant

app = typer.Typer(help="Tenants: whose notifications these are. Asks the database itself.")


@app.command()
def create(
    id: Annotated[str, typer.Argument(metavar="ID", help="1 to 40 of a-z, 0-9 and -.")],
    *,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="For people; else the id.")] = None,
    email_from: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Sender of its emails.")] = None,
    reply_to: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where answers go.")] = None,
    sms_from: Annotated[str | None, typer.Option(metavar="SENDER", help="A number, or up to 11 letters.")] = None,
    as_json: options.Json = False,
) -> None:
    """Make a tenant; then make keys for it.

    \b
    Example:
      clarion tenants create acme --name "Acme Inc." --email-from hello@acme.example --sms-from Acme
      clarion keys create acme --role send
    """
    from ledger import tenants

    wanted = tenants.Tenant(id, name or id, email_from, reply_to, sms_from)
    try:
        made = asked(lambda db: tenants.create(db, wanted))
    except tenants.TenantExists:
        raise Failure(f"There is a tenant {id} already: `clarion tenants list` shows it.") from None
    if as_json:
        output.document(_shown(made))
    else:
        output.say(made.id)


@app.command("list")
def list_(*, as_json: options.Json = False) -> None:
    """List all tenants."""
    from ledger import tenants

    found = asked(tenants.listed)
    if as_json:
        output.document([_shown(each) for each in found])
        return
    columns = ("tenant", "name", "email from", "reply to", "sms from")
    rows = [(each.id, each.name, each.email_from, each.reply_to, each.sms_from) for each in found]
    output.table(columns, rows, none="No tenants: `clarion tenants create acme` makes one.")


def _shown(tenant: "Tenant") -> dict[str, Any]:
    return asdict(tenant) | {"created_at": moments.written(tenant.created_at) if tenant.created_at else None}

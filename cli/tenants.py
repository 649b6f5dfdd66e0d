"""`clarion tenants`: whose notifications these are."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import moments, options, output
from cli.errors import Failure
from cli.ledger import asked, me
from cli.limits import limits

if TYPE_CHECKING:
    from ledger.tenants import Tenant

app = typer.Typer(help="Tenants: whose notifications these are. Asks the database itself.")

app.command()(limits)

Id = Annotated[str, typer.Argument(metavar="ID", help="The tenant's id.")]
_NONE = "there is no such tenant: `clarion tenants list` shows all."


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
        made = asked(lambda db: tenants.create(db, wanted, me()))
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
    columns = ("tenant", "name", "email from", "reply to", "sms from", "state")
    rows = [(each.id, each.name, each.email_from, each.reply_to, each.sms_from, _state(each)) for each in found]
    output.table(columns, rows, none="No tenants: `clarion tenants create acme` makes one.")


@app.command()
def update(
    id: Id,
    *,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="For people.")] = None,
    email_from: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Sender of its emails.")] = None,
    reply_to: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where answers go.")] = None,
    sms_from: Annotated[str | None, typer.Option(metavar="SENDER", help="A number, or up to 11 letters.")] = None,
    keep_text: Annotated[
        bool | None,
        typer.Option(
            "--keep-text/--no-keep-text",
            help="Keep words of messages and values of metadata in plain text, so that they can be searched.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Change a tenant's name or senders, or whether its messages can be searched. An empty text takes a sender away.

    What is searchable is kept in plain text, from new messages on; --no-keep-text has it forgotten.
    """
    from ledger import tenants

    said = {"name": name, "email_from": email_from, "reply_to": reply_to, "sms_from": sms_from}
    changes: dict[str, str | bool | None] = {
        field: text if field == "name" else text or None for field, text in said.items() if text is not None
    }
    if keep_text is not None:
        changes["keep_text"] = keep_text
    if not changes:
        raise typer.BadParameter("say what to change, such as --name")
    _told(id, asked(lambda db: tenants.update(db, id, changes, me())), as_json)


@app.command()
def suspend(
    id: Id,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for those who read it later.")],
    as_json: options.Json = False,
) -> None:
    """Take nothing more from a tenant, within two seconds. What was accepted still goes out."""
    from ledger import tenants

    _told(id, asked(lambda db: tenants.suspend(db, id, reason, me())), as_json)


@app.command()
def resume(id: Id, *, as_json: options.Json = False) -> None:
    """Take from a suspended tenant again."""
    from ledger import tenants

    _told(id, asked(lambda db: tenants.resume(db, id, me())), as_json)


def _told(id: str, tenant: "Tenant | None", as_json: bool) -> None:
    if tenant is None:
        raise Failure(f"{id}: {_NONE}")
    if as_json:
        output.document(_shown(tenant))
    else:
        output.note(f"{tenant.id}: {_state(tenant)}")


def _state(tenant: "Tenant") -> str:
    return f"suspended: {tenant.suspended_reason}" if tenant.suspended_at else "in force"


def _shown(tenant: "Tenant") -> dict[str, Any]:
    moment = {
        field: moments.written(at) if (at := getattr(tenant, field)) else None
        for field in ("created_at", "suspended_at")
    }
    return asdict(tenant) | moment

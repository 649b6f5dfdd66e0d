"""`clarion keys`: who may call the API."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import moments, options, output
from cli.errors import Failure
from cli.ledger import asked
from cli.notifications import when

if TYPE_CHECKING:
    from ledger.keys import Key

app = typer.Typer(help="API keys: who may call the API. Asks the database itself.")

_ROLES = "send, read, admin (all of one tenant), or operator (no tenant: dead letters and metrics of all)."


@app.command()
def create(
    tenant: Annotated[str | None, typer.Argument(metavar="[TENANT]", help="Not for an operator's key.")] = None,
    *,
    role: Annotated[str, typer.Option(metavar="ROLE", help=_ROLES)],
    as_json: options.Json = False,
) -> None:
    """Make a key and print it. It is shown this once: only a hash of it is kept.

    \b
    Examples:
      export CLARION_API_KEY=$(clarion keys create acme --role admin)
      clarion keys create --role operator
    """
    from ledger import keys

    wanted = _role(role)
    key, text = asked(lambda db: keys.create(db, tenant, wanted))
    if as_json:
        output.document({"key": text, **_shown(key)})
    else:
        output.say(text)
        output.note("Keep it: it cannot be shown again.")


@app.command("list")
def list_(
    *,
    tenant: Annotated[str | None, typer.Option(metavar="ID", help="Of this tenant only.")] = None,
    as_json: options.Json = False,
) -> None:
    """List keys by their visible part."""
    from ledger import keys

    found = asked(lambda db: keys.listed(db, tenant))
    if as_json:
        output.document([_shown(key) for key in found])
        return
    rows = [(f"clr_{key.prefix}", key.tenant, key.role, _when(key, "created_at"), _state(key)) for key in found]
    output.table(("key", "tenant", "role", "created", "state"), rows, none="No keys.")


@app.command()
def revoke(
    prefix: Annotated[str, typer.Argument(metavar="KEY", help="Its visible part, such as clr_0a1b2c3d4e5f.")],
) -> None:
    """Make a key worthless. API processes notice within a second."""
    from ledger import keys

    # A whole key is what people have at hand; its secret is not needed.
    visible = "_".join(prefix.split("_")[:2])
    if not asked(lambda db: keys.revoke(db, visible)):
        raise Failure(f"No key {visible} is in force: `clarion keys list` shows all.")
    output.note(f"Revoked {visible}.")


def _role(text: str) -> Any:
    from ledger.keys import Role

    try:
        return Role(text)
    except ValueError:
        raise typer.BadParameter(f"there are {', '.join(Role)}", param_hint="--role") from None


def _shown(key: "Key") -> dict[str, Any]:
    return {
        "prefix": f"clr_{key.prefix}",
        "tenant": key.tenant,
        "role": key.role.value,
        "created_at": moments.written(key.created_at),
        "revoked_at": moments.written(key.revoked_at) if key.revoked_at else None,
    }


def _when(key: "Key", name: str) -> str:
    return when(moments.written(getattr(key, name)))


def _state(key: "Key") -> str:
    return f"revoked {_when(key, 'revoked_at')}" if key.revoked_at else "in force"

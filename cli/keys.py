"""`clarion keys`: who may call the API."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import moments, options, output
from cli.errors import Failure
from cli.ledger import asked, me
from cli.notifications import when

if TYPE_CHECKING:
    from ledger.keys import Key

app = typer.Typer(help="API keys: who may call the API. Asks the database itself.")

_MOMENTS = ("created_at", "expires_at", "revoked_at", "last_used_at")
_ROLES = (
    "send, read, admin (all of one tenant), or operator (no tenant: tenants, keys, providers, audit, "
    "and the dead letters and metrics of all)."
)


@app.command()
def create(
    tenant: Annotated[str | None, typer.Argument(metavar="[TENANT]", help="Not for an operator's key.")] = None,
    *,
    role: Annotated[str, typer.Option(metavar="ROLE", help=_ROLES)],
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="For people: who has it.")] = None,
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
    key, text = asked(lambda db: keys.create(db, tenant, wanted, me(), name))
    _hand_out(key, text, as_json)


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
    columns = ("key", "tenant", "role", "name", "created", "last used", "state")
    output.table(columns, [_row(key) for key in found], none="No keys.")


@app.command()
def rotate(
    prefix: Annotated[str, typer.Argument(metavar="KEY", help="Its visible part, such as clr_0a1b2c3d4e5f.")],
    *,
    overlap: Annotated[str, typer.Option(metavar="SPAN", help="How long the old key goes on, such as 30m.")] = "24h",
    as_json: options.Json = False,
) -> None:
    """Make a key like this one and print it; the old one ends after the overlap.

    \b
    Example:
      clarion keys rotate clr_0a1b2c3d4e5f --overlap 7d
    """
    from ledger import keys

    span = moments.span(overlap)
    made = asked(lambda db: keys.rotate(db, _visible(prefix), me(), overlap=span))
    if made is None:
        raise _none(prefix)
    _hand_out(*made, as_json)
    output.note(f"{_visible(prefix)} ends in {overlap}.")


@app.command()
def revoke(
    prefix: Annotated[str, typer.Argument(metavar="KEY", help="Its visible part, such as clr_0a1b2c3d4e5f.")],
) -> None:
    """Make a key worthless. API processes notice within two seconds."""
    from ledger import keys

    if not asked(lambda db: keys.revoke(db, _visible(prefix), me())):
        raise _none(prefix)
    output.note(f"Revoked {_visible(prefix)}.")


def _visible(key: str) -> str:
    """A whole key is what people have at hand; its secret is not needed."""
    return "_".join(key.split("_")[:2])


def _none(key: str) -> Failure:
    return Failure(f"No key {_visible(key)} is in force: `clarion keys list` shows all.")


def _hand_out(key: "Key", text: str, as_json: bool) -> None:
    if as_json:
        output.document({"key": text, **_shown(key)})
    else:
        output.say(text)
        output.note("Keep it: it cannot be shown again.")


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
        "role": key.role,
        "name": key.name,
        **{field: moments.written(at) if (at := getattr(key, field)) else None for field in _MOMENTS},
    }


def _row(key: "Key") -> tuple[str | None, ...]:
    used = _when(key, "last_used_at") if key.last_used_at else "never"
    return f"clr_{key.prefix}", key.tenant, key.role, key.name, _when(key, "created_at"), used, _state(key)


def _when(key: "Key", name: str) -> str:
    return when(moments.written(getattr(key, name)))


def _state(key: "Key") -> str:
    if key.revoked_at:
        return f"revoked {_when(key, 'revoked_at')}"
    if key.expires_at is None:
        return "in force"
    return f"{'ended' if key.expires_at <= datetime.now(UTC) else 'ends'} {_when(key, 'expires_at')}"

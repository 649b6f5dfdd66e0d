"""`clarion secrets`: the keys that addresses and messages are sealed with."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli import here, options, output
from cli.errors import Failure
from cli.ledger import asked, me
from cli.progress import Progress

if TYPE_CHECKING:
    from ledger.database import Database
    from ledger.keyring import Keyring
    from ledger.rotating import Renewed, Wraps

app = typer.Typer(
    help="""Keys that addresses and messages are sealed with. Asks the database itself.

\b
To change the key, without a pause:
  1. clarion secrets new                 put what it prints FIRST in CLARION_ENCRYPTION_KEYS
  2. restart every API and worker process with it, the old key behind it
  3. clarion secrets rotate              wraps all data keys under the new one
  4. clarion secrets status              says when the old key wraps nothing more: take it out
"""
)


@app.command()
def new(
    *,
    id: Annotated[str | None, typer.Option("--id", metavar="ID", help="Its name; else today's date.")] = None,
    as_json: options.Json = False,
) -> None:
    """Print a fresh key as CLARION_ENCRYPTION_KEYS takes it. It is kept nowhere: store it safely, with a copy.

    \b
    Example:
      clarion secrets new > /run/secrets/encryption-keys
      export CLARION_ENCRYPTION_KEYS_FILE=/run/secrets/encryption-keys
    """
    from ledger.keyring import new_key

    name = id or datetime.now(UTC).date().isoformat()
    try:
        made = new_key(name)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--id") from None
    if as_json:
        output.document({"id": name, "key": made})
        return
    output.say(made)
    output.note("Who loses it can read no address and no message any more, and nobody can send them.")


@app.command()
def status(*, as_json: options.Json = False) -> None:
    """Show which keys wrap how many data keys, and how many rows hold something that is not sealed yet.

    Counting those reads the tables whole.
    """
    from ledger import resealing, rotating

    keyring = _keyring()

    async def both(db: "Database") -> "tuple[rotating.Standing, dict[str, int]]":
        return await rotating.standing(db, keyring), await resealing.plain(db)

    found, plain = asked(both)
    if as_json:
        keys = [asdict(each) for each in found.wraps]
        output.document({"keys": keys, "changing": found.changing, "plain": plain})
        return
    columns = ("key", "wraps data keys", "of tenants", "state")
    rows = [(each.key, str(each.data_keys), str(each.tenants), _state(each, keyring)) for each in found.wraps]
    output.table(columns, rows, none="No keys.")
    if found.changing:
        output.note(f"{found.changing} tenants have an old data key left: `clarion secrets rotate --data` goes on.")
    if any(plain.values()):
        said = ", ".join(f"{n} of {table}" for table, n in plain.items() if n)
        output.note(f"Not sealed: {said}. `clarion secrets rotate --data` seals them.")


@app.command()
def rotate(
    *,
    data: Annotated[
        bool, typer.Option("--data", help="Also give every tenant a new data key, and seal every row anew with it.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Wrap all data keys under the first key of CLARION_ENCRYPTION_KEYS. Every process must have that key already.

    Takes moments, and changes nothing that is sealed. With --data every row is rewritten beside the traffic; it may be
    interrupted and run again. The old data keys are destroyed by a run that starts five minutes after the new ones
    were made or later, when no process can use them any more.
    """
    from ledger import resealing, rotating

    keyring, by = _keyring(), me()
    wrapped = asked(lambda db: rotating.rewrap(db, keyring, by))
    renewed = None
    if data and not wrapped.lost:
        with Progress("rows", asked(resealing.size)) as bar:
            renewed = asked(lambda db: rotating.renew(db, keyring, by, bar.at))
    if as_json:
        output.document({**asdict(wrapped), "data": asdict(renewed) if renewed else None})
    else:
        output.say(f"{wrapped.rewrapped} data keys wrapped under {keyring.newest}.")
        if renewed:
            _tell(renewed)
    if lost := list(wrapped.lost):
        more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
        raise Failure(f"{lost[0]}{more}. Put the key back behind the newest, and run this again.")
    if renewed and renewed.closed:
        raise Failure(f"{renewed.closed} values do not open, so no old key was destroyed: `clarion secrets status`.")


def _tell(renewed: "Renewed") -> None:
    output.say(
        f"{renewed.made} new data keys, {renewed.resealed} rows sealed anew, {renewed.destroyed} old keys destroyed."
    )
    if renewed.waiting and not renewed.closed:
        output.note(
            f"{renewed.waiting} tenants keep an old data key that a process may still use: run this again later."
        )


def _state(each: "Wraps", keyring: "Keyring") -> str:
    if not each.known:
        return "MISSING in CLARION_ENCRYPTION_KEYS: what it wraps cannot be read"
    if each.key == keyring.newest:
        return "the newest: wraps what is new"
    return "may be taken out" if not each.data_keys else "needed until `clarion secrets rotate`"


def _keyring() -> "Keyring":
    from ledger.keyring import keyring_of

    return keyring_of(here.operator_settings())

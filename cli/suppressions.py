"""`clarion suppressions`: addresses that get nothing more."""

from typing import Annotated

import typer

from cli import options, output
from cli.client import Api, segment
from cli.errors import Refused
from cli.notifications import when

app = typer.Typer(help="Addresses that get nothing more: they bounced, complained or unsubscribed.")

Channel = Annotated[str, typer.Argument(metavar="CHANNEL", help="Such as email.")]
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="Such as ann@example.com or +14155550100.")]
Why = Annotated[str | None, typer.Option(metavar="REASON", help="hard_bounce, complaint, unsubscribe or manual.")]


@app.command("list")
def list_(
    *,
    channel: Annotated[str | None, typer.Option(metavar="NAME", help="Of this channel only.")] = None,
    reason: Why = None,
    limit: options.Limit = 50,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """List them. Addresses are stored as hashes: a hint is all that can be shown.

    \b
    Example:
      clarion suppressions list --channel email --reason complaint
    """
    with Api.found(url) as api:
        pages = api.pages("/suppressions", limit, channel=channel, reason=reason)
        found = [each for page in pages for each in page["data"]]
    if as_json:
        output.document(found)
        return
    rows = [(each["channel"], each["hint"], each["reason"], each["source"], when(each["at"])) for each in found]
    output.table(("channel", "address", "reason", "source", "since"), rows, none="No address is suppressed.")


@app.command()
def add(
    channel: Channel, address: Address, *, reason: Why = None, url: options.Url = None, as_json: options.Json = False
) -> None:
    """Send nothing more to an address.

    \b
    Example:
      clarion suppressions add sms +14155550100 --reason unsubscribe
    """
    with Api.found(url) as api:
        made = api.call("PUT", _path(channel, address), {"reason": reason} if reason else {})
    output.document(made) if as_json else output.pairs(made)


@app.command()
def remove(channel: Channel, address: Address, *, url: options.Url = None) -> None:
    """Let an address have messages again. Needs an admin's key; it is written to the audit log."""
    with Api.found(url) as api:
        api.call("DELETE", _path(channel, address))
    output.note(f"{address} may have messages by {channel} again.")


@app.command()
def check(channel: Channel, address: Address, *, url: options.Url = None, as_json: options.Json = False) -> None:
    """Say whether an address is suppressed, and why. Exit code 0: it is, 1: it is not."""
    with Api.found(url) as api:
        try:
            found = api.get(_path(channel, address))
        except Refused as refused:
            if refused.code == "not_found" and as_json:
                output.document(None)
            raise
    output.document(found) if as_json else output.pairs(found)


def _path(channel: str, address: str) -> str:
    return f"/suppressions/{segment(channel)}/{segment(address)}"

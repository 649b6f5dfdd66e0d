"""`clarion dead-letters`: what nobody could deliver, to look at, send again, or give up."""

from typing import Annotated

import typer

from cli import options, output
from cli.client import Api
from cli.letters import Filter, Letters, by_id
from cli.notifications import when

app = typer.Typer(help="What nobody could deliver: list, retry, discard.")

Ids = Annotated[list[str] | None, typer.Argument(metavar="[DELIVERY]...", help="Ids, as `list` shows them.")]
LastProvider = Annotated[str | None, typer.Option("--provider", metavar="NAME", help="That this provider had last.")]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="That died for exactly this reason.")]
Every = Annotated[bool, typer.Option("--all", help="All there are.")]


@app.command("list")
def list_(
    *,
    channel: options.Channel = None,
    provider: LastProvider = None,
    reason: Reason = None,
    since: options.Since = None,
    until: options.Until = None,
    limit: options.Limit = 50,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """List dead letters, newest first. An operator's key shows every tenant's.

    \b
    Example:
      clarion dead-letters list --channel sms --since 1d
    """
    with Api.found(url) as api:
        pages = list(api.pages("/dead-letters", limit, **Filter(channel, provider, reason, since, until).said()))
    found = [one for page in pages for one in page["data"]]
    if as_json:
        output.document({"data": found, "page": pages[-1]["page"]})
        return
    fields = ("delivery_id", "tenant", "channel", "recipient_id", "provider", "attempts", "dead_at", "reason")
    columns = ("delivery", "tenant", "channel", "recipient", "provider", "tries", "died", "reason")
    rows = [[when(one[name]) if name == "dead_at" else _text(one[name]) for name in fields] for one in found]
    output.table(columns, rows, none="No dead letters.")
    if pages[-1]["page"]["has_more"]:
        output.note(f"There are more: --limit {limit * 5}")


@app.command()
def retry(
    ids: Ids = None,
    *,
    channel: options.Channel = None,
    provider: LastProvider = None,
    reason: Reason = None,
    since: options.Since = None,
    until: options.Until = None,
    every: Every = False,
    through: Annotated[
        str | None, typer.Option(metavar="PROVIDER", help="Begin with this provider, not the first of the route.")
    ] = None,
    yes: options.Yes = False,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Send dead letters again: by id, or all that a filter names, counted first.

    \b
    Examples:
      clarion dead-letters retry 01890a5d-ac97-7b3c-8a55-2c1f0e7d9b11.0
      clarion dead-letters retry --channel sms --provider twilio --through sns
      clarion dead-letters retry --all --yes
    """
    which = Filter(channel, provider, reason, since, until).chosen(ids, every=every)
    how = {"provider": through} if through else {}
    with Api.found(url) as api:
        if ids:
            by_id(api, ids, "retry", how, as_json=as_json)
        else:
            Letters(api, which, yes=yes, as_json=as_json).retry(how)


@app.command()
def discard(
    ids: Ids = None,
    *,
    channel: options.Channel = None,
    provider: LastProvider = None,
    reason: Reason = None,
    since: options.Since = None,
    until: options.Until = None,
    every: Every = False,
    yes: options.Yes = False,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Give dead letters up for good: by id, or all that a filter names, counted first. They end FAILED.

    \b
    Examples:
      clarion dead-letters discard 01890a5d-ac97-7b3c-8a55-2c1f0e7d9b11.0
      clarion dead-letters discard --channel push --until 7d
    """
    which = Filter(channel, provider, reason, since, until).chosen(ids, every=every)
    with Api.found(url) as api:
        if ids:
            by_id(api, ids, "discard", {}, as_json=as_json)
        else:
            Letters(api, which, yes=yes, as_json=as_json).discard()


def _text(value: object) -> str | None:
    return None if value is None else str(value)

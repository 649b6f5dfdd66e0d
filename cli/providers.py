"""`clarion providers`: how the vendors stand, and an operator's word on them."""

from typing import Annotated, Any

import typer

from cli import options, output, standing
from cli.client import Api, segment
from cli.errors import Refused, Unreachable
from cli.notifications import when

app = typer.Typer()

Name = Annotated[str, typer.Argument(metavar="NAME", help="A provider, as `clarion providers` lists it.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever reads it at night.")]
MaybeWhy = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why.")]
NewWeight = Annotated[
    float | None, typer.Option("--weight", min=0, max=1000, metavar="NUMBER", help="Also change its weight.")
]


@app.callback(invoke_without_command=True)
def providers(
    context: typer.Context,
    *,
    channel: Annotated[str | None, typer.Option(metavar="NAME", help="Of this channel only.")] = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """List installed providers: what is set up, what operators want of each, and how each stands.

    Without an API that answers: what is installed and set up here. An operator's key may change them; `clarion dev`
    asks for none.

    \b
    Examples:
      clarion providers
      clarion providers --channel sms
      clarion providers disable sendgrid --reason "invoice unpaid"
      clarion providers events sendgrid
    """
    if context.invoked_subcommand:
        if channel or url or as_json:
            raise typer.BadParameter(f"say options after `{context.invoked_subcommand}`")
        return
    try:
        with Api.found(url) as api:
            found = api.get("/providers")["data"]
    except (Unreachable, Refused) as error:
        output.note(f"{error} So how they stand is unknown; this is what is set up here.")
        found = standing.installed_here()
    found = [one for one in found if channel in {None, one["channel"]}]
    if as_json:
        output.document(found)
    else:
        standing.show(found)


@app.command()
def disable(
    name: Name, *, reason: Why, weight: NewWeight = None, url: options.Url = None, as_json: options.Json = False
) -> None:
    """Take a vendor out, at once: nothing goes to it. What is queued for it goes to the next of the route.

    \b
    Example:
      clarion providers disable sendgrid --reason "invoice unpaid"
    """
    _steer(name, "disable", _said(reason=reason, weight=weight), url, as_json=as_json)


@app.command()
def drain(
    name: Name, *, reason: Why, weight: NewWeight = None, url: options.Url = None, as_json: options.Json = False
) -> None:
    """Give a vendor no new messages. What is queued for it still goes.

    \b
    Example:
      clarion providers drain twilio --reason "contract ends on Friday"
    """
    _steer(name, "drain", _said(reason=reason, weight=weight), url, as_json=as_json)


@app.command()
def enable(
    name: Name,
    *,
    reason: MaybeWhy = None,
    weight: NewWeight = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Bring a vendor back and trust it: its breaker closes, a pause ends, what waited for it goes.

    \b
    Example:
      clarion providers enable sendgrid --reason "paid"
    """
    _steer(name, "enable", _said(reason=reason, weight=weight), url, as_json=as_json)


@app.command()
def weight(
    name: Name,
    number: Annotated[str, typer.Argument(metavar="NUMBER|none", help="0 to 1000; none: by the channel's policy.")],
    *,
    reason: MaybeWhy = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Set a vendor's part of new messages against the others of its route; 0: only when no other works.

    \b
    Examples:
      clarion providers weight ses 1
      clarion providers weight sendgrid 3 --reason "a quarter goes to SES"
      clarion providers weight sendgrid none
    """
    _steer(name, "weight", {"weight": _number(number), **_said(reason=reason)}, url, as_json=as_json)


@app.command()
def events(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of this provider only.")] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=100, metavar="NUMBER", help="How many at most.")] = 20,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """List what happened: breakers that opened and closed, and what operators said. Newest first.

    \b
    Examples:
      clarion providers events
      clarion providers events twilio --limit 100
    """
    path = f"/providers/{segment(name)}/events" if name else "/providers/events"
    with Api.found(url) as api:
        found = api.get(path, limit=limit)["data"]
    if as_json:
        output.document(found)
        return
    rows = [(when(one["at"]), one["provider"], one["kind"], _change(one), one["reason"], _by(one)) for one in found]
    output.table(("when", "provider", "what", "change", "reason", "by"), rows, none="Nothing has happened yet.")


def _steer(name: str, action: str, body: dict[str, Any], url: str | None, *, as_json: bool) -> None:
    with Api.found(url) as api:
        now = api.call("POST", f"/providers/{segment(name)}/{action}", body)
    if as_json:
        output.document(now)
        return
    standing.show([now])
    if now["warning"]:
        output.note(f"Careful: {now['warning']}.")


def _said(**what: object) -> dict[str, Any]:
    return {name: value for name, value in what.items() if value is not None}


def _number(text: str) -> float | None:
    if text.lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number nor `none`", param_hint="NUMBER|none") from None


def _change(event: dict[str, Any]) -> str:
    return f"{event['before'] or 'enabled'} -> {event['after']}"


def _by(event: dict[str, Any]) -> str:
    return event["changed_by"] or ("one process, without Redis" if event["local"] else "")

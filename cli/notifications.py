"""Commands about notifications that were sent: list, cancel, metrics."""

from typing import Annotated, Any

import typer

from cli import moments, options, output
from cli.client import Api, segment
from cli.errors import FAILED


def list_(
    *,
    channel: options.Channel = None,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="SCHEDULED, ENQUEUED, PROCESSING, COMPLETED, ...")
    ] = None,
    recipient: options.Recipient = None,
    priority: options.Priority = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="With this tag; to be repeated.")] = None,
    tag_prefix: Annotated[str | None, typer.Option(metavar="TEXT", help="With a tag that begins so.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY:TEXT", help="With metadata whose value begins so; to be repeated.")
    ] = None,
    q: Annotated[
        str | None, typer.Option("--q", "-q", metavar="WORDS", help="With all of these words; begin* for beginnings.")
    ] = None,
    since: options.Since = None,
    until: options.Until = None,
    limit: options.Limit = 20,
    cursor: Annotated[str | None, typer.Option(metavar="TEXT", help="`page.next` of the list before.")] = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """List notifications, newest first. --metadata and --q are for tenants that keep text searchable.

    \b
    Examples:
      clarion list --since 1h --status FAILED
      clarion list --recipient user123 --channel sms --limit 100
      clarion list --tag campaign:spring --metadata order:A-17 --q "invoice over*"
    """
    wanted = {"channel": channel, "status": status.upper() if status else None, "recipient": recipient}
    times = {"from": since, "to": until}
    terms = {"tag": tag or None, "tag_prefix": tag_prefix, "metadata": metadata or None, "q": q}
    with Api.found(url) as api:
        pages = list(api.pages("/notifications", limit, priority=priority, cursor=cursor, **wanted, **times, **terms))
    found = [one for page in pages for one in page["data"]]
    if as_json:
        output.document({"data": found, "page": pages[-1]["page"]})
        return
    rows = [(one["notification_id"], when(one["created_at"]), one["status"], channels(one)) for one in found]
    output.table(("notification", "created", "status", "channels"), rows, none="No notifications.")
    if following := pages[-1]["page"]["next"]:
        output.note(f"There may be more: --limit {limit * 5}, or --cursor {following}")


def cancel(id: options.Id, *, url: options.Url = None, as_json: options.Json = False) -> None:
    """Cancel what has not been sent yet. Exit code 1 when it was too late for all of it.

    A delivery is either cancelled or sent, never both.
    """
    with Api.found(url) as api:
        done = api.call("POST", f"/notifications/{segment(id)}/cancel")
    if as_json:
        output.document(done)
    else:
        rows = [(each, "CANCELLED") for each in done["cancelled"]]
        rows += [(each["id"], f"too late: {each['status']}") for each in done["too_late"]]
        output.table(("delivery", "now"), rows, none="It has no deliveries.")
    if not done["cancelled"]:
        raise typer.Exit(FAILED)


def metrics(*, url: options.Url = None, as_json: options.Json = False) -> None:
    """Show the tenant's totals: sent, succeeded, failed."""
    with Api.found(url) as api:
        found = api.get("/metrics")
    if as_json:
        output.document(found)
        return
    rows = [("all", "", *(str(found[f"total_{name}"]) for name in ("sent", "success", "failed")))]
    for kind in ("channel", "provider"):
        for name, totals in found[f"by_{kind}"].items():
            rows.append((kind, name, *(str(totals[each]) for each in ("sent", "success", "failed"))))
    output.table(("of", "name", "sent", "succeeded", "failed"), rows, none="")
    statuses = [(name, str(number)) for name, number in found["by_status"].items()]
    output.table(("status", "deliveries"), statuses, none="No deliveries yet.")


def when(text: str) -> str:
    """A time for people on a terminal, as it is for programs."""
    return moments.relative(text) if output.on_terminal() else text


def channels(one: dict[str, Any]) -> str:
    """Each channel of a notification with its status."""
    statuses: dict[str, str] = one["channel_statuses"]
    return ", ".join(f"{name} {status}" for name, status in statuses.items())

"""`clarion status`: where one notification stands, now or live."""

from typing import Annotated, Any

import typer

from cli import options, output
from cli.client import Api, segment
from cli.errors import FAILED
from cli.notifications import channels
from cli.timeline import told


def status(
    id: options.Id,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it live until it has ended.")] = False,
    events: Annotated[bool, typer.Option("--events", "-e", help="With the history of each delivery.")] = False,
    every: Annotated[bool, typer.Option("--all", help="All deliveries, not only the first 100.")] = False,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Show where a notification stands.

    With --watch it is followed, its first 100 deliveries one by one; exit code 1 unless it ends COMPLETED.

    \b
    Examples:
      clarion status 01890a5d-ac96-774b-bcce-b302099a8057
      clarion status 01890a5d-ac96-774b-bcce-b302099a8057 --watch
      clarion status 01890a5d-ac96-774b-bcce-b302099a8057 --events --json | jq .deliveries
    """
    with Api.found(url) as api:
        if watch:
            from cli.watching import watch as watch_it

            if watch_it(api, id, as_json=as_json)["status"] != "COMPLETED":
                raise typer.Exit(FAILED)
            return
        found = _whole(api, id, events=events, every=every)
    if as_json:
        output.document(found)
    elif output.on_terminal():
        from cli.picture import show

        show(found, events=events)
    else:
        _print(found, events=events)
    if found["page"]["has_more"]:
        shown, there = len(found["deliveries"]), sum(found["counts"].values())
        output.note(f"The first {shown} of {there} deliveries; --all shows all.")


def _whole(api: Api, id: str, *, events: bool, every: bool) -> dict[str, Any]:
    """The status with its first page of deliveries, or all of them."""
    path, expand = f"/status/{segment(id)}", "events" if events else None
    found = api.get(path, expand=expand)
    while every and found["page"]["has_more"]:
        more = api.get(path, expand=expand, cursor=found["page"]["next"])
        found["deliveries"] += more["deliveries"]
        found["page"] = more["page"]
    return found


def _print(found: dict[str, Any], *, events: bool) -> None:
    output.pairs(
        {
            "notification": found["notification_id"],
            "status": found["status"],
            "channels": channels(found),
            "priority": found["priority"],
            "created": found["created_at"],
            "send at": found["send_at"],
            "expires": found["expires_at"],
            "workflows": " ".join(found["workflow_ids"]),
        }
    )
    output.say("")
    if events:
        for line in told(found):
            output.say(line)
        return
    columns = ("delivery", "channel", "recipient", "status", "provider", "attempts", "reason")
    rows = [
        (d["id"], d["channel"], d["recipient_id"], d["status"], d["provider"], str(d["attempts"]), d["reason"])
        for d in found["deliveries"]
    ]
    output.table(columns, rows, none="No deliveries.")

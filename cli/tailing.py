"""`clarion tail`: notifications as they come, and each change of those still under way."""

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer

from cli import moments, options, output
from cli.client import Api
from cli.errors import Unreachable
from cli.notifications import channels
from cli.timeline import ENDS

_EVERY = 1.0  # seconds between two looks
_NEWEST = 500  # notifications that are looked at; older ones are not followed


def tail(
    *,
    last: Annotated[
        int, typer.Option("--last", "-n", min=0, max=_NEWEST, metavar="NUMBER", help="Begin with so many.")
    ] = 10,
    channel: options.Channel = None,
    recipient: options.Recipient = None,
    priority: options.Priority = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Print new notifications and changes as they come.

    Until Ctrl-C; follows the newest 500.

    \b
    Examples:
      clarion tail
      clarion tail --channel sms --json | jq -c 'select(.status == "FAILED")'
    """
    with Api.found(url) as api:
        follower = Follower(api, channel=channel, recipient=recipient, priority=priority)
        _print(follower.changes()[-last:] if last else follower.changes()[:0], as_json=as_json)
        while True:
            time.sleep(_EVERY)
            with contextlib.suppress(Unreachable):  # it will be back, and nothing is lost by waiting
                _print(follower.changes(), as_json=as_json)


class Follower:
    """Knows how each of the newest notifications stood when it looked last."""

    def __init__(self, api: Api, **filters: str | None) -> None:
        self._api, self._filters = api, filters
        self._known: dict[str, dict[str, Any]] = {}

    def changes(self) -> list[dict[str, Any]]:
        """Notifications that are new, or stand differently than at the last look; oldest first. Raises Failure."""
        now = {one["notification_id"]: one for one in self._newest()}
        changed = [one for id, one in now.items() if self._known.get(id) != one]
        # Ended ones are kept too: they are still on the pages, and shall not be told again.
        self._known = {**self._known, **now}
        self._forget()
        return changed[::-1]

    def _newest(self) -> Iterator[dict[str, Any]]:
        """From the newest back to where nothing can have changed: all known there, and none of the older ones open."""
        waiting = {id for id, one in self._known.items() if one["status"] not in ENDS}
        for page in self._api.pages("/notifications", _NEWEST, **self._filters):
            ids = {one["notification_id"] for one in page["data"]}
            yield from page["data"]
            waiting -= ids
            if not waiting and ids <= self._known.keys():
                return

    def _forget(self) -> None:
        """Ids sort by time: the newest are kept."""
        for id in sorted(self._known)[: -2 * _NEWEST]:
            del self._known[id]


def _print(found: list[dict[str, Any]], *, as_json: bool) -> None:
    for one in found:
        if as_json:
            output.record(one)
        else:
            created = moments.parsed(one["created_at"])
            output.status_line(_clock(created), one["notification_id"], one["status"], channels(one))


def _clock(moment: datetime) -> str:
    """The time of day here."""
    return moment.astimezone().strftime("%H:%M:%S")

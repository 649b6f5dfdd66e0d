"""Follows a notification until it has ended, through restarts of the API, and shows each change as it comes."""

import sys
import time
from collections.abc import Iterator
from typing import Any

from cli import output
from cli.client import Api, segment
from cli.errors import Unreachable
from cli.timeline import ENDS, Happening, Status, happened

_QUICK, _SLOW = 0.15, 2.0  # seconds between two looks: the pause grows while nothing changes
_GROWTH = 1.25
_PATIENCE = 60.0  # seconds the API may be away


def read(api: Api, notification: str, *, events: bool) -> dict[str, Any]:
    """The status as it is now, with its first 100 deliveries. Raises Failure."""
    return api.get(f"/status/{segment(notification)}", expand="events" if events else None)


def follow(api: Api, notification: str) -> Iterator[dict[str, Any]]:
    """The status now and after each change; the last one has ended. Raises Failure."""
    seen: dict[str, Any] = {}
    pause, away_since = _QUICK, None
    while True:
        try:
            status = read(api, notification, events=True)
            away_since = None
        except Unreachable:
            away_since = away_since or time.monotonic()
            if not seen or time.monotonic() - away_since > _PATIENCE:
                raise
            status = seen
        if status == seen:
            pause = min(_SLOW, pause * _GROWTH)
        else:
            seen, pause = status, _QUICK
            yield status
            if status["status"] in ENDS:
                return
        time.sleep(pause)


def watch(api: Api, notification: str, *, as_json: bool) -> Status:
    """Show it live until it has ended: a picture on a terminal, else a line for each event. Returns the end."""
    if output.on_terminal() and not as_json:
        from cli.picture import live

        return live(follow(api, notification))
    return printed(follow(api, notification), as_json=as_json)


def printed(statuses: Iterator[Status], *, as_json: bool) -> Status:
    """Print every event once, as text or as a JSON line, and the end. Returns the last status."""
    news, status = News(as_json=as_json), None
    for status in statuses:
        news.tell(status)
    if status is None:
        raise ValueError("nothing was followed")
    if as_json:
        output.record({"notification_id": status["notification_id"], "status": status["status"]})
    else:
        output.say(status["status"])
    return status


class News:
    """Knows which events were told."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._told: set[tuple[str, str, str, str]] = set()

    def tell(self, status: Status) -> None:
        """Print what is new in it, oldest first."""
        fresh = [one for one in happened(status) if self._is_new(one)]
        for one in sorted(fresh, key=lambda one: one.event["at"]):
            if self._as_json:
                about = {name: one.delivery[name] for name in ("channel", "recipient_id")}
                output.record({"delivery_id": one.delivery["id"], **about, **one.event})
            else:
                output.say(f"{one.when:>10}  {one.channel}  {one.recipient}  {one.word}  {one.details}".rstrip())
        sys.stdout.flush()

    def _is_new(self, one: Happening) -> bool:
        event = one.event
        key = (one.delivery["id"], event["at"], event["step"], event["to"])
        if key in self._told:
            return False
        self._told.add(key)
        return True

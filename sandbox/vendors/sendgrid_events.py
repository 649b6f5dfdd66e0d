"""SendGrid's signed event webhook: events of many messages gathered into one call.

Signature: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

import asyncio
import base64
from collections.abc import Sequence
from itertools import islice
from typing import Any

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox import ids, keys
from sandbox.control import Receipt, SendGridControl
from sandbox.messages import Message
from sandbox.postman import Parcel, Post
from sandbox.shared import Shared
from sandbox.vendors.reporting import Event

_USUAL = {"delivered": "delivered", "undelivered": "bounce"}
_DETAILS: dict[str, dict[str, Any]] = {
    "delivered": {"response": "250 OK"},
    "bounce": {
        "type": "bounce",
        "status": "5.1.1",
        "reason": "550 5.1.1 The email account does not exist",
        "bounce_classification": "Invalid Address",
    },
    "dropped": {"reason": "Bounced Address", "status": "5.0.0"},
    "deferred": {"response": "421 4.7.0 try again later", "attempt": "1"},
}


class EventPost:
    """Makes, gathers, signs and posts events."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._key = keys.load_ec(shared.credentials.sendgrid_private_key)
        self._strange_key = keys.new_ec()
        self._gathered: list[Event] = []
        self._timer: asyncio.TimerHandle | None = None

    def events(self, message: Message, receipt: Receipt, at: float) -> list[dict[str, Any]]:
        """`processed`, then how it ended. Custom arguments stand beside SendGrid's own fields."""
        common = {
            **message.extra,
            "email": message.to,
            "timestamp": int(at),
            "smtp-id": f"<{message.id}@geopod-ismtpd-sandbox>",
            "sg_message_id": f"{message.id}.recvd-sandbox-1-{ids.hexadecimal(4)}-0.0",
        }
        ending = receipt.event or _USUAL[receipt.report]
        return [
            common | {"event": name, "sg_event_id": ids.urlsafe(16)} | _DETAILS.get(name, {})
            for name in ("processed", ending)
        ]

    def gather(self, events: list[Event], control: SendGridControl) -> None:
        """Post these with whatever else comes within the gathering time, or once a call is full."""
        if self._gathered and self._gathered[0].generation != self._shared.generation:
            self._post(control.max_events)  # made before a reset: they and their time are forgotten, and fill no call
        self._gathered.extend(events)
        if len(self._gathered) >= control.max_events or not control.gather:
            self._post(control.max_events)
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(control.gather, self._post, control.max_events)

    def parcel(self, events: Sequence[Event]) -> Parcel:
        """One signed call. All events must agree in `skew` and `forged`."""
        body = orjson.dumps([event.content for event in events])
        timestamp = str(int(events[0].now))
        key = self._strange_key if events[0].forged else self._key
        signature = key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "SendGrid Event API",
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        }
        url = f"{self._shared.callback_url}/sendgrid"
        return Parcel([Post("sendgrid", url, body, headers, len(events))], retry=not events[0].forged)

    def _post(self, size: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        gathered, self._gathered = self._gathered, []
        current = [event for event in gathered if event.generation == self._shared.generation]
        for batch in _alike(current):
            rest = iter(batch)
            while part := list(islice(rest, size)):
                self._shared.postman.send(self.parcel(part))


def _alike(events: list[Event]) -> list[list[Event]]:
    """Groups of events that can travel under one signature."""
    groups: dict[tuple[float, bool], list[Event]] = {}
    for event in events:
        groups.setdefault((event.skew, event.forged), []).append(event)
    return list(groups.values())

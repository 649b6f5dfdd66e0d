"""Twilio Messages: send, list, fetch, and signed status callbacks.

Formats: https://www.twilio.com/docs/messaging/api/message-resource and
https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

import base64
import re
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from sandbox import ids
from sandbox.control import Answer, Receipt
from sandbox.desk import CallRules, LiveRule
from sandbox.messages import Message
from sandbox.shared import Shared
from sandbox.vendors.base import Refused, Turn
from sandbox.vendors.reporting import Event, ReportingVendor
from sandbox.vendors.twilio_callbacks import parcel
from sandbox.vendors.twilio_store import Store
from sandbox.web import JSON, Call, Reply, reply

_VERSION = "/2010-04-01"
_NUMBER = re.compile(r"\+[1-9]\d{6,14}")
_SENDER = re.compile(r"\+[1-9]\d{6,14}|\d{3,8}|(?=[\w ]*[A-Za-z])[\w ]{1,11}")  # number, short code, name
_LONGEST = 1600  # characters of a body

# Codes: https://www.twilio.com/docs/api/errors
_USUAL = {
    400: (21211, "Invalid 'To' Phone Number"),
    401: (20003, "Authenticate"),
    403: (20003, "Permission Denied"),
    404: (20404, "The requested resource was not found"),
    429: (20429, "Too Many Requests"),
    500: (20500, "Internal Server Error"),
    503: (20503, "Service Unavailable"),
}


def _error(status: int, code: int | str, message: str, retry_after: float | None = None) -> Reply:
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    headers = JSON
    if retry_after is not None:
        headers = (*JSON, (b"retry-after", str(round(retry_after)).encode()))
    return reply(status, body, headers)


class Twilio(ReportingVendor):
    """SMS."""

    name = "twilio"

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        given = shared.credentials
        self._sid = given.twilio_account_sid
        login = base64.b64encode(f"{self._sid}:{given.twilio_auth_token}".encode()).decode()
        self._authorization = f"Basic {login}"
        self._account = f"{_VERSION}/Accounts/{self._sid}"
        self._store = Store(self._sid)

    def refusal(self, answer: Answer) -> Reply:
        """See Vendor."""
        code, message = _USUAL.get(answer.status, (20000 + answer.status, "Error"))
        return _error(answer.status, answer.code or code, message, answer.retry_after)

    async def route(self, call: Call) -> Turn[Reply]:
        """Messages of our account, or the account itself."""
        if call.header(b"authorization") != self._authorization:
            raise Refused(_error(401, *_USUAL[401]))
        if not call.path.startswith(self._account):
            raise Refused(_error(404, 20404, f"The requested resource {call.path} was not found"))
        match call.method, call.path.removeprefix(self._account):
            case "POST", "/Messages.json":
                return await self._send(call)
            case "GET", "/Messages.json":
                return Turn(reply(200, self._store.list(call.parameters(), call.path)))
            case "GET", ".json":
                return Turn(
                    reply(200, {"sid": self._sid, "friendly_name": "Sandbox", "status": "active", "type": "Full"})
                )
            case "GET", rest if found := self._store.get(rest.removeprefix("/Messages/").removesuffix(".json")):
                return Turn(reply(200, found))
        raise Refused(_error(404, 20404, f"The requested resource {call.path} was not found"))

    async def _send(self, call: Call) -> Turn[Reply]:
        message = _read(call, f"SM{ids.hexadecimal(16)}")
        return await self.take([message], reply(201, self._store.resource(message, time.time())))

    async def accept(
        self, messages: Sequence[Message], accepted: Reply, live: LiveRule, rules: CallRules
    ) -> Turn[Reply]:
        """See Vendor. What was taken is listed, also while its answer is still to come."""
        if live.rule.hang != "before":
            self._store.keep(orjson.loads(accepted.body))
        return await super().accept(messages, accepted, live, rules)

    def events(self, message: Message, receipt: Receipt, at: float) -> list[dict[str, Any]]:
        """`sent`, then how it ended; none for a message sent without StatusCallback."""
        if not message.callback:
            return []
        endings = {"delivered": "delivered", "undelivered": "undelivered"}
        return [{"status": status} for status in ("sent", receipt.event or endings[receipt.report])]

    def post(self, events: list[Event]) -> None:
        """One call for each event."""
        if events:
            self.shared.postman.send(self._parcel(events))

    async def post_now(self, events: list[Event]) -> None:
        """One call for each event."""
        await self.shared.postman.deliver(self._parcel(events))

    def _parcel(self, events: list[Event]) -> Any:
        for event in events:
            self._store.note(event.message.id, event.content["status"], event.now)
        return parcel(events, self._sid, self.shared.credentials.twilio_auth_token)


def _read(call: Call, sid: str) -> Message:
    """Raises Refused."""
    form = call.form()
    to, body, callback = form.get("To", ""), form.get("Body", ""), form.get("StatusCallback") or None
    sender = form.get("From") or form.get("MessagingServiceSid") or ""
    if not to:
        raise Refused(_error(400, 21604, "A 'To' phone number is required."))
    if not _NUMBER.fullmatch(to):
        raise Refused(_error(400, 21211, f"Invalid 'To' Phone Number: {to[:20]}"))
    if not sender:
        raise Refused(_error(400, 21603, "A 'From' phone number is required."))
    if not form.get("MessagingServiceSid") and not _SENDER.fullmatch(sender):
        raise Refused(_error(400, 21212, f"Invalid From Number (caller ID): {sender[:20]}"))
    if not body:
        raise Refused(_error(400, 21602, "Message body is required."))
    if len(body) > _LONGEST:
        raise Refused(_error(400, 21617, "The concatenated message body exceeds the 1600 character limit."))
    if callback and not callback.startswith(("http://", "https://")):
        raise Refused(_error(400, 21609, "The 'StatusCallback' URL is not a valid URL."))
    key = parse_qs(urlsplit(callback).query).get("key", [None])[0] if callback else None
    return Message(sid, to, key, text=body, sender=sender, traceparent=call.header(b"traceparent"), callback=callback)

"""SendGrid v3: mail send, and the signed event webhook.

Formats: https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send and
https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
"""

import time
from typing import Any

from sandbox import ids
from sandbox.control import Answer, Receipt, SendGridControl
from sandbox.messages import Message
from sandbox.shared import Shared
from sandbox.vendors.base import Refused, Turn
from sandbox.vendors.reporting import Event, ReportingVendor
from sandbox.vendors.sendgrid_events import EventPost
from sandbox.vendors.sendgrid_mail import read_mail
from sandbox.web import JSON, Call, Reply, reply

_USUAL_TEXT = {
    401: "The provided authorization grant is invalid, expired, or revoked",
    403: "access forbidden",
    413: "Payload too large",
    429: "too many requests",
    500: "An internal error occurred",
    503: "The SendGrid v3 Web API is not available",
}


def _error(status: int, message: str, field: str | None = None, retry_after: float | None = None) -> Reply:
    headers = JSON
    if status == 429:  # its own way to say when: seconds since 1970
        reset = str(int(time.time() + (retry_after or 1))).encode()
        headers = (*JSON, (b"x-ratelimit-remaining", b"0"), (b"x-ratelimit-reset", reset))
    elif retry_after is not None:
        headers = (*JSON, (b"retry-after", str(round(retry_after)).encode()))
    return reply(status, {"errors": [{"message": message, "field": field, "help": None}]}, headers)


class SendGrid(ReportingVendor):
    """Email, single and bulk."""

    name = "sendgrid"
    control_type = SendGridControl

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self._authorization = f"Bearer {shared.credentials.sendgrid_api_key}"
        self._event_post = EventPost(shared)

    def refusal(self, answer: Answer) -> Reply:
        """`code` replaces the message's text: SendGrid's errors have no codes."""
        text = str(answer.code) if answer.code is not None else _USUAL_TEXT.get(answer.status, "Bad Request")
        return _error(answer.status, text, retry_after=answer.retry_after)

    async def route(self, call: Call) -> Turn[Reply]:
        """Send mail, or say what the key may do."""
        if call.header(b"authorization") != self._authorization:
            raise Refused(_error(401, _USUAL_TEXT[401]))
        match call.method, call.path:
            case "POST", "/v3/mail/send":
                return await self._send(call)
            case "GET", "/v3/scopes":
                return Turn(reply(200, {"scopes": ["mail.send", "sender_verification_eligible"]}))
        raise Refused(_error(404, "not found"))

    async def _send(self, call: Call) -> Turn[Reply]:
        message_id = ids.urlsafe(16)
        try:
            content = call.json()
        except ValueError:
            raise Refused(_error(400, "Bad Request")) from None
        messages = read_mail(content, message_id, call.header(b"traceparent"), _refuse)
        return await self.take(messages, Reply(202, b"", ((b"x-message-id", message_id.encode()),)))

    def events(self, message: Message, receipt: Receipt, at: float) -> list[dict[str, Any]]:
        """`processed`, then how it ended."""
        return self._event_post.events(message, receipt, at)

    def post(self, events: list[Event]) -> None:
        """Gathered with others for a moment."""
        assert isinstance(self.desk.control, SendGridControl)
        self._event_post.gather(events, self.desk.control)

    async def post_now(self, events: list[Event]) -> None:
        """In a call of their own."""
        await self.shared.postman.deliver(self._event_post.parcel(events))


def _refuse(message: str, field: str | None) -> Refused:
    return Refused(_error(400, message, field))

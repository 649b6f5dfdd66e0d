"""FCM HTTP v1: send to a token or topic, with OAuth access tokens for the service account.

Formats: https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send and
https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode
"""

import time
from typing import Any

from sandbox import ids
from sandbox.control import Answer, FcmControl
from sandbox.credentials import FCM_PROJECT
from sandbox.messages import Message
from sandbox.shared import Shared
from sandbox.vendors.base import HttpVendor, Refused, Turn
from sandbox.vendors.fcm_tokens import InvalidGrant, Tokens
from sandbox.web import JSON, Call, Reply, reply

_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_LONGEST = 4096  # bytes of notification and data
_USUAL: dict[int, tuple[str, str | None, str]] = {  # status: google.rpc name, FCM's own code, text
    400: ("INVALID_ARGUMENT", "INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", None, "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "SENDER_ID_MISMATCH", "SenderId mismatch"),
    404: ("NOT_FOUND", "UNREGISTERED", "Requested entity was not found."),
    429: ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "Resource has been exhausted (e.g. check quota)."),
    500: ("INTERNAL", "INTERNAL", "Internal error encountered."),
    503: ("UNAVAILABLE", "UNAVAILABLE", "The service is currently unavailable."),
}


def _error(status: int, code: str | None = None, message: str | None = None, retry_after: float | None = None) -> Reply:
    name, usual_code, text = _USUAL.get(status, ("UNKNOWN", None, "Unknown error."))
    content: dict[str, Any] = {"code": status, "message": message or text, "status": name}
    if code or usual_code:
        content["details"] = [{"@type": _FCM_ERROR, "errorCode": code or usual_code}]
    headers = JSON if retry_after is None else (*JSON, (b"retry-after", str(round(retry_after)).encode()))
    return reply(status, {"error": content}, headers)


class Fcm(HttpVendor):
    """Push without receipts."""

    name = "fcm"
    control_type = FcmControl

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self._tokens = Tokens(shared.credentials)

    def refusal(self, answer: Answer) -> Reply:
        """See Vendor."""
        code = None if answer.code is None else str(answer.code)
        return _error(answer.status, code, retry_after=answer.retry_after)

    async def route(self, call: Call) -> Turn[Reply]:
        """Hand out a token, or send."""
        if (call.method, call.path) == ("POST", "/token"):
            return Turn(self._token(call))
        if (call.method, call.path) != ("POST", f"/v1/projects/{FCM_PROJECT}/messages:send"):
            raise Refused(_error(404, "NOT_FOUND"))
        if not self._tokens.valid(call.header(b"authorization") or ""):
            raise Refused(_error(401))
        try:
            content = call.json()
        except ValueError:
            raise Refused(_error(400, message="Invalid JSON payload received.")) from None
        name = f"projects/{FCM_PROJECT}/messages/0:{time.time_ns() // 1000}%{ids.hexadecimal(8)}"
        message = read(content, name, call)
        if content.get("validate_only"):
            return Turn(reply(200, {"name": f"projects/{FCM_PROJECT}/messages/fake_message_id"}))
        return await self.take([message], reply(200, {"name": name}))

    def _token(self, call: Call) -> Reply:
        assert isinstance(self.desk.control, FcmControl)
        try:
            token, lifetime = self._tokens.grant(call.form(), self.desk.control.token_lifetime)
        except InvalidGrant as invalid:
            raise Refused(reply(400, {"error": "invalid_grant", "error_description": str(invalid)})) from None
        return reply(200, {"access_token": token, "expires_in": lifetime, "token_type": "Bearer"})


def read(content: Any, name: str, call: Call) -> Message:
    """The message of a send's body. Raises Refused."""
    message = content.get("message") if isinstance(content, dict) else None
    if not isinstance(message, dict):
        raise Refused(_error(400, message="The message is missing."))
    targets = [message[kind] for kind in ("token", "topic", "condition") if message.get(kind)]
    if len(targets) != 1 or not isinstance(targets[0], str):
        raise Refused(_error(400, message="Exactly one of token, topic or condition is required"))
    if any(character.isspace() for character in message.get("token") or ""):
        raise Refused(_error(400, message="The registration token is not a valid FCM registration token"))
    data, notification = message.get("data") or {}, message.get("notification") or {}
    if not isinstance(data, dict) or not isinstance(notification, dict):
        raise Refused(_error(400, message="Invalid value at 'message'"))
    for place, fields in (("data", data), ("notification", notification)):
        for field, value in fields.items():
            if not isinstance(value, str):
                raise Refused(_error(400, message=f"Invalid value at 'message.{place}' ({field}: TYPE_STRING)"))
    if sum(len(text.encode()) for fields in (data, notification) for text in (*fields, *fields.values())) > _LONGEST:
        raise Refused(_error(400, message="Android message is too big"))
    key = data.get("clarion_key") or call.header(b"x-clarion-key")
    traceparent = call.header(b"traceparent")
    return Message(
        name,
        targets[0],
        key,
        notification.get("title"),
        notification.get("body", ""),
        traceparent=traceparent,
        extra=data,
    )

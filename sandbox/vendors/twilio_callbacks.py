"""Twilio's status callbacks: form-encoded, signed over the exact URL and the sorted fields."""

import base64
import hashlib
import hmac
import secrets
from urllib.parse import urlencode

from sandbox import ids
from sandbox.postman import Parcel, Post
from sandbox.vendors.reporting import Event

_ERRORS = {"undelivered": "30003", "failed": "30008"}


def parcel(events: list[Event], account: str, token: str) -> Parcel:
    """Calls to the message's own StatusCallback, in order."""
    return Parcel([_post(event, account, token) for event in events], retry=not any(e.forged for e in events))


def _post(event: Event, account: str, token: str) -> Post:
    message, status = event.message, event.content["status"]
    assert message.callback is not None
    fields = {
        "AccountSid": account,
        "ApiVersion": "2010-04-01",
        "From": message.sender or "",
        "MessageSid": message.id,
        "MessageStatus": status,
        "SmsSid": message.id,
        "SmsStatus": status,
        "To": message.to,
    }
    if status in _ERRORS:
        fields["ErrorCode"] = _ERRORS[status]
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        "User-Agent": "TwilioProxy/1.1",
        "I-Twilio-Idempotency-Token": ids.hexadecimal(16),
        "X-Twilio-Signature": _signature(message.callback, fields, secrets.token_hex(16) if event.forged else token),
    }
    return Post("twilio", message.callback, urlencode(fields).encode(), headers)


def _signature(url: str, fields: dict[str, str], token: str) -> str:
    signed = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()

"""Twilio's list of messages, read for one send of ours: which of them may be it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from providers.http import Reply

PAGE = 200  # newest messages to one number; the page's size may be 1,000 at most
_SLACK = 2.0  # seconds: Twilio's times are whole ones, as is the moment of its answer


def matching(reply: Reply, identity: Mapping[str, str], youngest: float, oldest: float) -> Sequence[str] | None:
    """Ids of the listed messages that agree with what we sent and are of such an age, in seconds by Twilio's own clock.

    None: the answer cannot be read, or shows only a part of the messages that young. `DateSent`, by which the list
    could be filtered, is empty until a message has been sent: one that waits in Twilio's queue would be overlooked.
    """
    listed = reply.json().get("messages")
    now = _moment(reply.headers.get("Date"))
    if not isinstance(listed, list) or now is None:
        return None
    aged = [(message, _age(message, now)) for message in listed]
    if len(aged) == PAGE and all(age is None or age <= oldest + _SLACK for _, age in aged):
        return None
    return [
        message["sid"]
        for message, age in aged
        if age is not None and youngest <= age <= oldest + _SLACK and _agrees(message, identity)
    ]


def _age(message: Any, now: datetime) -> float | None:
    created = _moment(message.get("date_created")) if isinstance(message, dict) else None
    return (now - created).total_seconds() if created else None


def _agrees(message: Mapping[str, Any], identity: Mapping[str, str]) -> bool:
    shown = {"To": "to", "Body": "body", "From": "from", "MessagingServiceSid": "messaging_service_sid"}
    return all(message.get(shown[name]) == value for name, value in identity.items()) and isinstance(
        message.get("sid"), str
    )


def _moment(text: Any) -> datetime | None:
    """RFC 2822, with its zone."""
    try:
        found = parsedate_to_datetime(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found and found.tzinfo else None

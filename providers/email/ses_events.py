"""What an SES event says: the JSON inside a notification of its topic."""

from collections.abc import Mapping
from typing import Any

from domain.ids import SendKey
from domain.receipts import Receipt, Report
from providers.reading import code, identifier, json_of, mapping, rfc3339, send_key

KEY_TAG = "clarion_key"
# "Contents of event data that SES publishes to SNS". A transient bounce is final, too: SES has given up by then.
# The others (Send, Delay, Open, Click, Complaint, Subscription) are steps on the way or what the reader did.
_REPORTS = {
    "Delivery": Report.DELIVERED,
    "Bounce": Report.UNDELIVERED,
    "Reject": Report.UNDELIVERED,
    "Rendering Failure": Report.UNDELIVERED,
}


def tag_of(key: SendKey) -> str:
    """The key as a tag: SES allows letters, digits, `_` and `-` only, and a key has dots but no `_`."""
    return str(key).replace(".", "_")


def read_event(provider: str, notification: Mapping[str, str]) -> Receipt | None:
    """The receipt in a verified notification; None for an event that changes nothing. Raises Malformed."""
    event = mapping(json_of(notification["Message"]), "Message")
    # Feedback of an identity (not of a configuration set) has the same shape under another name, and no tags.
    kind = event.get("eventType", event.get("notificationType"))
    report = _REPORTS.get(kind) if isinstance(kind, str) else None
    if report is None:
        return None
    mail = mapping(event.get("mail"), "mail")
    detail = event.get(str(kind).lower())
    return Receipt(
        provider=provider,
        event_id=identifier(notification["MessageId"], "MessageId"),
        report=report,
        occurred_at=rfc3339(notification["Timestamp"], "Timestamp"),
        key=_key(mail),
        message_id=identifier(mail.get("messageId"), "mail.messageId"),
        reason=None if report is Report.DELIVERED else _why(str(kind), detail),
    )


def _key(mail: Mapping[str, Any]) -> SendKey | None:
    tags = mail.get("tags")
    values = tags.get(KEY_TAG) if isinstance(tags, dict) else None  # pyright: ignore[reportUnknownVariableType]
    tag = values[0] if isinstance(values, list) and values else None  # pyright: ignore[reportUnknownVariableType]
    return send_key(tag.replace("_", ".")) if isinstance(tag, str) else None


def _why(kind: str, detail: Any) -> str:
    """`Bounce:Permanent:General`: SES's own words, never the mail server's, which quote addresses."""
    fields = detail if isinstance(detail, dict) else {}
    return code(kind, fields.get("bounceType"), fields.get("bounceSubType"))

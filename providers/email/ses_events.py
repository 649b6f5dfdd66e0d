"""What an SES event says: the JSON inside a notification of its topic."""

from collections.abc import Mapping
from typing import Any

from domain.ids import SendKey
from domain.receipts import Receipt, Report
from domain.suppressions import Reason
from providers.reading import code, identifier, json_of, mapping, rfc3339, send_key

KEY_TAG = "clarion_key"
# "Contents of event data that SES publishes to SNS". A transient bounce is final, too: SES has given up by then.
# The others (Send, Delay, Open, Click) are steps on the way or what the reader did.
_REPORTS = {
    "Delivery": Report.DELIVERED,
    "Bounce": Report.UNDELIVERED,
    "Reject": Report.UNDELIVERED,
    "Rendering Failure": Report.UNDELIVERED,
    "Complaint": Report.OPTED_OUT,
    "Subscription": Report.OPTED_OUT,
}
# What it says about the address, by event and the type of a bounce. `Transient` and `Undetermined` bounces pass.
_SUPPRESSIONS = {
    "Bounce:Permanent": Reason.HARD_BOUNCE,
    "Complaint": Reason.COMPLAINT,
    "Subscription": Reason.UNSUBSCRIBE,
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
    if not _is_kept(str(kind), detail):
        return None
    return Receipt(
        provider=provider,
        event_id=identifier(notification["MessageId"], "MessageId"),
        report=report,
        occurred_at=rfc3339(notification["Timestamp"], "Timestamp"),
        key=_key(mail),
        message_id=identifier(mail.get("messageId"), "mail.messageId"),
        reason=None if report is Report.DELIVERED else _why(str(kind), detail),
        suppress=_suppresses(str(kind), detail),
    )


def _suppresses(kind: str, detail: Any) -> Reason | None:
    bounce = detail.get("bounceType") if isinstance(detail, dict) else None
    return _SUPPRESSIONS.get(f"{kind}:{bounce}" if isinstance(bounce, str) else kind)


def _is_kept(kind: str, detail: Any) -> bool:
    """Two kinds are also sent for the opposite: a reader who says it is no spam, and one who subscribes."""
    fields = detail if isinstance(detail, dict) else {}
    if kind == "Complaint":
        return fields.get("complaintFeedbackType") != "not-spam"
    if kind == "Subscription":
        wishes = fields.get("newTopicPreferences")
        return isinstance(wishes, dict) and wishes.get("unsubscribeAll") is True
    return True


def _key(mail: Mapping[str, Any]) -> SendKey | None:
    tags = mail.get("tags")
    values = tags.get(KEY_TAG) if isinstance(tags, dict) else None  # pyright: ignore[reportUnknownVariableType]
    tag = values[0] if isinstance(values, list) and values else None  # pyright: ignore[reportUnknownVariableType]
    return send_key(tag.replace("_", ".")) if isinstance(tag, str) else None


def _why(kind: str, detail: Any) -> str:
    """`Bounce:Permanent:General`: SES's own words, never the mail server's, which quote addresses."""
    fields = detail if isinstance(detail, dict) else {}
    return code(kind, fields.get("bounceType"), fields.get("bounceSubType"))

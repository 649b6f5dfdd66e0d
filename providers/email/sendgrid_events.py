"""What SendGrid's events say: the JSON list its webhook posts."""

from collections.abc import Mapping
from typing import Any

from domain.ids import SendKey
from domain.receipts import Receipt, Report
from domain.suppressions import Reason
from providers.base import Malformed
from providers.reading import code, epoch, identifier, json_of, mapping, send_key

KEY_ARGUMENT = "clarion_key"  # a custom argument: every event about the mail repeats it
# Event webhook reference, "event objects": the other events are steps on the way or what the reader did.
_REPORTS = {
    "delivered": Report.DELIVERED,
    "bounce": Report.UNDELIVERED,
    "dropped": Report.UNDELIVERED,
    "spamreport": Report.OPTED_OUT,
    "unsubscribe": Report.OPTED_OUT,
    "group_unsubscribe": Report.OPTED_OUT,
}
# What it says about the address: by event, by the type of a bounce, by the reason of a drop. A `blocked` bounce is
# about the mail or its sender, and passes.
_SUPPRESSIONS = {
    "spamreport": Reason.COMPLAINT,
    "unsubscribe": Reason.UNSUBSCRIBE,
    "group_unsubscribe": Reason.UNSUBSCRIBE,
    "bounce:bounce": Reason.HARD_BOUNCE,
    "dropped:Bounced Address": Reason.HARD_BOUNCE,
    "dropped:Spam Reporting Address": Reason.COMPLAINT,
    "dropped:Unsubscribed Address": Reason.UNSUBSCRIBE,
}


def read_events(provider: str, body: bytes) -> list[Receipt]:
    """The receipts in a verified body, without events of no consequence or about mail of others. Raises Malformed."""
    events: Any = json_of(body)
    if not isinstance(events, list):
        raise Malformed("the body must be a list of events")
    receipts = (_receipt(provider, mapping(event, "an event")) for event in events)
    return [receipt for receipt in receipts if receipt is not None]


def _receipt(provider: str, event: Mapping[str, Any]) -> Receipt | None:
    report = _REPORTS.get(str(event.get("event")))
    key = send_key(event.get(KEY_ARGUMENT))
    return _read(provider, event, report, key) if report is not None and key is not None else None


def _read(provider: str, event: Mapping[str, Any], report: Report, key: SendKey) -> Receipt:
    message_id = event.get("sg_message_id")  # `{X-Message-Id}.{who handled it}`
    return Receipt(
        provider=provider,
        event_id=identifier(event.get("sg_event_id"), "sg_event_id"),
        report=report,
        occurred_at=epoch(event.get("timestamp"), "timestamp"),
        key=key,
        message_id=identifier(message_id, "sg_message_id").partition(".")[0] if message_id else None,
        reason=None if report is Report.DELIVERED else _why(event),
        suppress=_suppresses(event),
    )


def _suppresses(event: Mapping[str, Any]) -> Reason | None:
    kind = event["event"]
    detail = {"bounce": event.get("type"), "dropped": event.get("reason")}.get(kind)
    return _SUPPRESSIONS.get(f"{kind}:{detail}" if detail else kind)


def _why(event: Mapping[str, Any]) -> str:
    """`bounce:5.1.1`, `dropped:Bounced Address`. A bounce's own text is the mail server's and quotes addresses."""
    detail = event.get("reason") if event["event"] == "dropped" else event.get("status")
    return code(event["event"], detail)

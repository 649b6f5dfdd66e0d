"""SES's event publishing records."""

from datetime import UTC, datetime
from typing import Any

from sandbox.credentials import ACCOUNT
from sandbox.messages import Message

_DIAGNOSTIC = "smtp; 550 5.1.1 user unknown"


def event(kind: str, message: Message, at: float) -> dict[str, Any]:
    """An event of this type (`Delivery`, `Bounce`, `Complaint`, `Reject` ...). `at`: seconds since 1970."""
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    mail = {
        "timestamp": moment,
        "source": message.sender,
        "sendingAccountId": ACCOUNT,
        "messageId": message.id,
        "destination": [message.to],
        "headersTruncated": False,
        "headers": [],
        "commonHeaders": {
            "from": [message.sender],
            "to": [message.to],
            "messageId": message.id,
            "subject": message.subject,
        },
        "tags": {name: [value] for name, value in message.extra.items()},
    }
    return {"eventType": kind, "mail": mail, kind.lower(): _detail(kind, message.to, moment)}


def _detail(kind: str, address: str, moment: str) -> dict[str, Any]:
    details: dict[str, dict[str, Any]] = {
        "Delivery": {
            "timestamp": moment,
            "processingTimeMillis": 12,
            "recipients": [address],
            "smtpResponse": "250 2.6.0 Message received",
            "reportingMTA": "sandbox.example",
        },
        "Bounce": {
            "feedbackId": f"0100-{moment}",
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [
                {"emailAddress": address, "action": "failed", "status": "5.1.1", "diagnosticCode": _DIAGNOSTIC}
            ],
            "timestamp": moment,
            "reportingMTA": "dsn; sandbox.example",
        },
        "Complaint": {"complainedRecipients": [{"emailAddress": address}], "timestamp": moment},
        "Reject": {"reason": "Bad content"},
    }
    return details.get(kind, {"timestamp": moment})

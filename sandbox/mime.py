"""Reads a raw email: the parts a person sees, and its X- headers."""

from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import MIMEPart


@dataclass(frozen=True, slots=True)
class Mail:
    """What is of interest of a raw email."""

    subject: str | None
    sender: str | None
    recipients: list[str]
    text: str
    html: str | None
    headers: dict[str, str]  # X- headers and Message-ID, names as sent


def read_mime(raw: bytes) -> Mail:
    """Lenient: whatever cannot be read is left out."""
    message = message_from_bytes(raw, policy=policy.default)
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    recipients = [part.strip() for part in _clean(message["To"] or "").split(",") if part.strip()]
    return Mail(
        subject=_clean(message["Subject"]) if message["Subject"] else None,
        sender=_clean(message["From"]) if message["From"] else None,
        recipients=recipients,
        text=_content(plain) if plain else "",
        html=_content(html) if html else None,
        headers={
            name: _clean(value)
            for name, value in message.items()
            if name.lower().startswith("x-") or name == "Message-ID"
        },
    )


def _content(part: MIMEPart) -> str:
    try:
        return _clean(part.get_content())
    except (LookupError, ValueError):
        payload = part.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""


def _clean(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()

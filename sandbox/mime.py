"""Reads a raw email: the parts a person sees, and its X- headers."""

from dataclasses import dataclass
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses


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
    """Lenient: whatever cannot be read is left as it is. The library's newer policy raises on broken headers."""
    message = message_from_bytes(raw)
    headers = {_clean(name): _unfolded(value) for name, value in message.raw_items()}
    named = {name.lower(): value for name, value in headers.items()}
    return Mail(
        subject=_decoded(named["subject"]) if "subject" in named else None,
        sender=_decoded(named["from"]) if "from" in named else None,
        recipients=[address for _, address in getaddresses([named.get("to", "")]) if address],
        text=_body(message, "text/plain") or "",
        html=_body(message, "text/html"),
        headers={name: value for name, value in headers.items() if name.lower().startswith(("x-", "message-id"))},
    )


def _body(message: Message, kind: str) -> str | None:
    """The first part of this type that is no attachment."""
    for part in message.walk():
        if part.get_content_type() == kind and part.get_content_disposition() != "attachment":
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                return _text(payload, part.get_content_charset() or "utf-8")
    return None


def _text(payload: bytes, charset: str) -> str:
    try:
        return _clean(payload.decode(charset, "replace"))
    except (LookupError, ValueError):
        return payload.decode("utf-8", "replace")


def _decoded(value: str) -> str:
    """A header with its encoded words read (RFC 2047)."""
    try:
        return _clean(make_header(decode_header(value)))
    except (LookupError, ValueError, MessageError):
        return value


def _clean(value: object) -> str:
    """Raw UTF-8 read, other bytes replaced."""
    return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _unfolded(value: object) -> str:
    """A header's lines joined (RFC 5322, 2.2.3)."""
    return "".join(_clean(value).splitlines())

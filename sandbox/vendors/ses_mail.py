"""Reads the body of SES's SendEmail, with its checks."""

import base64
import re
from email.utils import parseaddr
from typing import Any

from sandbox.messages import Message
from sandbox.mime import Mail, read_mime

_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")


class BadRequest(Exception):
    """What is wrong, in SES's words or near them."""


def read_mail(body: Any, message_id: str, traceparent: str | None) -> list[Message]:
    """One message for each To address. Raises BadRequest."""
    if not isinstance(body, dict):
        raise BadRequest("The body must be an object")
    tags = _tags(body)
    mail = _content(body.get("Content"))
    sender = body.get("FromEmailAddress") or mail.sender
    if not isinstance(sender, str) or not _valid(sender):
        raise BadRequest("Missing or malformed FromEmailAddress")
    destination = body.get("Destination")
    to = (destination.get("ToAddresses") if isinstance(destination, dict) else None) or mail.recipients
    if not isinstance(to, list) or not to or not all(isinstance(one, str) and _valid(one) for one in to):
        raise BadRequest("Missing or malformed destination address")
    return [
        Message(
            id=message_id,
            to=parseaddr(address)[1],
            key=tags.get("clarion_key"),
            subject=mail.subject,
            text=mail.text,
            html=mail.html,
            sender=sender,
            traceparent=traceparent,
            extra=tags,
        )
        for address in to
    ]


def _tags(body: dict[str, Any]) -> dict[str, str]:
    given = body.get("EmailTags") or []
    if not isinstance(given, list):
        raise BadRequest("EmailTags must be a list")
    pairs = [(tag.get("Name"), tag.get("Value")) if isinstance(tag, dict) else (None, None) for tag in given]
    tags: dict[str, str] = {}
    for name, value in pairs:
        if not (isinstance(name, str) and isinstance(value, str) and _TAG.fullmatch(name) and _TAG.fullmatch(value)):
            raise BadRequest(f"Invalid tag <{name}>: only alphanumeric ASCII characters, '_' and '-' are allowed.")
        tags[name] = value
    if isinstance(body.get("ConfigurationSetName"), str):
        tags["ses:configuration-set"] = body["ConfigurationSetName"]
    return tags


def _content(content: Any) -> Mail:
    if not isinstance(content, dict) or not content:
        raise BadRequest("Content is required")
    if isinstance(content.get("Raw"), dict):
        try:
            return read_mime(base64.b64decode(content["Raw"].get("Data") or "", validate=True))
        except (ValueError, TypeError):
            raise BadRequest("Raw.Data is not base64") from None
    simple = content.get("Simple")
    if not isinstance(simple, dict) or not isinstance(simple.get("Body"), dict):
        raise BadRequest("One of Simple and Raw is required")
    subject, text, html = (
        _data(simple.get("Subject")),
        _data(simple["Body"].get("Text")),
        _data(simple["Body"].get("Html")),
    )
    if subject is None:
        raise BadRequest("Subject is required")
    if text is None and html is None:
        raise BadRequest("A text or html body is required")
    return Mail(subject, None, [], text or "", html, {})


def _data(part: Any) -> str | None:
    data = part.get("Data") if isinstance(part, dict) else None
    return data if isinstance(data, str) else None


def _valid(address: str) -> bool:
    return "@" in parseaddr(address)[1][1:-1]

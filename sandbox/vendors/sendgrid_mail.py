"""Reads the body of SendGrid's mail send, with its checks in its words."""

from collections.abc import Callable
from typing import Any

from sandbox.messages import Message

_CUSTOM_ARGS = 10_000  # bytes, per personalization
_PERSONALIZATIONS = 1000

Refuse = Callable[[str, str | None], Exception]


def read_mail(body: Any, message_id: str, traceparent: str | None, refuse: Refuse) -> list[Message]:
    """One message for each `to` address of each personalization. Raises what `refuse(text, field)` makes."""
    if not isinstance(body, dict):
        raise refuse("Bad Request", None)
    personalizations = body.get("personalizations")
    if not isinstance(personalizations, list) or not personalizations:
        raise refuse(
            "The personalizations field is required and must have at least one personalization.", "personalizations"
        )
    if len(personalizations) > _PERSONALIZATIONS:
        raise refuse(f"There is a limit of {_PERSONALIZATIONS} personalizations per request.", "personalizations")
    sender = _address(body.get("from"), "from.email", refuse)
    text, html = _contents(body, refuse)
    return [
        message
        for index, personalization in enumerate(personalizations)
        for message in _personal(personalization, index, body, (sender, text, html, message_id, traceparent), refuse)
    ]


def _personal(
    personalization: Any,
    index: int,
    body: dict[str, Any],
    common: tuple[str, str, str | None, str, str | None],
    refuse: Refuse,
) -> list[Message]:
    place = f"personalizations.{index}"
    if not isinstance(personalization, dict) or not isinstance(to := personalization.get("to"), list) or not to:
        raise refuse(
            "The to array is required for all personalization objects, and must have at least one email object "
            "with a valid email address.",
            f"{place}.to",
        )
    sender, text, html, message_id, traceparent = common
    subject = personalization.get("subject") or body.get("subject")
    if not isinstance(subject, str) or not subject:
        raise refuse(
            "The subject is required. You can get around this requirement if you use a template with a subject "
            "defined or if every personalization has a subject defined.",
            "subject",
        )
    arguments = _custom_args(personalization, body, place, refuse)
    return [
        Message(
            id=message_id,
            to=_address(one, f"{place}.to.{number}.email", refuse),
            key=arguments.get("clarion_key"),
            subject=subject,
            text=text,
            html=html,
            sender=sender,
            traceparent=traceparent,
            extra=arguments,
        )
        for number, one in enumerate(to)
    ]


def _custom_args(personalization: dict[str, Any], body: dict[str, Any], place: str, refuse: Refuse) -> dict[str, Any]:
    given = body.get("custom_args") or {}, personalization.get("custom_args") or {}
    if not all(isinstance(one, dict) for one in given):
        raise refuse("The custom_args must be an object.", f"{place}.custom_args")
    arguments = {**given[0], **given[1]}
    for name, value in arguments.items():
        if not isinstance(value, str):
            raise refuse("The custom_args values must be strings.", f"{place}.custom_args.{name}")
    if sum(len(name) + len(value) for name, value in arguments.items()) > _CUSTOM_ARGS:
        raise refuse("The custom_args exceed 10000 bytes.", f"{place}.custom_args")
    return arguments


def _contents(body: dict[str, Any], refuse: Refuse) -> tuple[str, str | None]:
    contents = body.get("content")
    if not isinstance(contents, list) or not contents:
        raise refuse(
            "Unless a valid template_id is provided, the content parameter is required. There must be at least one "
            "defined content block. We typically suggest both text/plain and text/html blocks are included, but "
            "only one block is required.",
            "content",
        )
    found: dict[str, str] = {}
    for index, content in enumerate(contents):
        kind, value = (content.get("type"), content.get("value")) if isinstance(content, dict) else (None, None)
        if not isinstance(kind, str) or not kind:
            raise refuse("The content type must be a string at least one character in length.", f"content.{index}.type")
        if not isinstance(value, str) or not value:
            raise refuse(
                "The content value must be a string at least one character in length.", f"content.{index}.value"
            )
        if kind == "text/plain" and found:
            raise refuse("If present, text/plain must be first, followed by text/html, then other content.", "content")
        found[kind] = value
    return found.get("text/plain", ""), found.get("text/html")


def _address(value: Any, field: str, refuse: Refuse) -> str:
    email = value.get("email") if isinstance(value, dict) else None
    if not isinstance(email, str) or "@" not in email[1:-1] or len(email) > 320 or any(c.isspace() for c in email):
        raise refuse("Does not contain a valid address.", field)
    return email

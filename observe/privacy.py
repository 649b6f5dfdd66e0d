"""Keeps personal data and secrets out of logs and traces: by the name of a field, and by the look of a value."""

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[hidden]"

PRIVATE = frozenset(
    {
        *("address", "addresses", "to", "from", "email", "phone", "push_token", "device_token", "recipient_ids"),
        *("message", "content", "subject", "title", "text", "html", "body", "data", "metadata"),
        *("api_key", "token", "access_token", "secret", "password", "authorization", "cookie", "signature"),
    }
)

# An email address or an E.164 number inside a longer text, as in the error message of a library. The local part is
# bounded (64, RFC 5321) so that a long text without an @ is read in linear time.
_LOOKS_PRIVATE = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]+(?:\.[\w-]+)+|\+\d{8,15}\b")


def scrub(text: str) -> str:
    """The text with whatever looks like an email address or an E.164 number hidden."""
    return _LOOKS_PRIVATE.sub(HIDDEN, text)


def clean(value: Any) -> Any:
    """The value without personal data: private fields hidden at any depth, texts scrubbed."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {key: HIDDEN if _is_private(key) else clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(item) for item in value]
    if value is None or isinstance(value, int | float):
        return value
    return scrub(str(value))


def _is_private(name: object) -> bool:
    return str(name).lower().replace("-", "_") in PRIVATE

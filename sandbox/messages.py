"""What a vendor took in: one message to one address."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """One accepted message, as far as the vendors' formats have it in common."""

    id: str  # the vendor's own, as it was answered
    to: str
    key: str | None  # the sender's own key, wherever the vendor's format carries it
    subject: str | None = None
    text: str = ""
    html: str | None = None
    sender: str | None = None
    traceparent: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])  # custom arguments, tags, data, X- headers
    callback: str | None = None  # where its sender wants reports, for a vendor that is told so with each message

"""A notification on its way in: checked at the door, not yet in the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.ids import new_id
from domain.messages import Content
from domain.priorities import Priority


@dataclass(frozen=True, slots=True)
class Recipient:
    """A person. With `known`, what the caller said of them is all there is; else the address book is asked."""

    id: str
    addresses: Mapping[str, str] = field(default_factory=dict[str, str])  # by field, in normal form
    known: bool = False

    @property
    def named_by_address(self) -> bool:
        """Is the id an address, or like one? Then it is as personal as that."""
        return "@" in self.id or self.id.startswith("+") or self.id in self.addresses.values()


@dataclass(frozen=True, slots=True)
class Submission:
    """One accepted-to-be notification. Everything in it has been validated."""

    tenant: str
    channels: tuple[str, ...]
    recipients: tuple[Recipient, ...]
    content: Content
    priority: Priority
    metadata: Mapping[str, Any] | None = None
    tags: tuple[str, ...] = ()
    send_at: datetime | None = None
    expires_at: datetime | None = None
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    traceparent: str | None = None
    id: UUID = field(default_factory=new_id)

    @property
    def size(self) -> int:
        """How many deliveries it makes."""
        return len(self.channels) * len(self.recipients)


@dataclass(frozen=True, slots=True)
class Accepted:
    """It is in the ledger. `replayed`: it already was, under this idempotency key."""

    id: UUID
    replayed: bool = False


class Refused(Exception):
    """It cannot be taken, and nothing of it was. `code` is the problem's, `pointer` where in the request it lies."""

    def __init__(self, code: str, detail: str, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.code, self.detail, self.pointer = code, detail, pointer

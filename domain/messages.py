"""What is handed to a provider, and what a provider says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.ids import SendKey
from domain.priorities import Priority


@dataclass(frozen=True, slots=True)
class Content:
    """What the sender wants said. A channel takes the parts it can carry."""

    text: str = ""
    subject: str | None = None  # email
    html: str | None = None  # email
    title: str | None = None  # push
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])  # push payload


@dataclass(frozen=True, slots=True)
class Sender:
    """Who it comes from: a tenant's setting. None: the provider's own default."""

    email: str | None = None
    reply_to: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One send of one delivery."""

    key: SendKey
    address: str
    content: Content
    sender: Sender
    priority: Priority
    callback: str  # base URL where the vendor shall report, e.g. `https://notify.example.com/webhook`
    headers: Mapping[str, str] = field(default_factory=dict[str, str])  # trace context for the vendor call


@dataclass(frozen=True, slots=True)
class Sent:
    """A send of which no answer came, for asking its vendor what became of it. Times are seconds."""

    key: SendKey
    address: str
    content: Content
    sender: Sender
    age: float  # since it was claimed; its call began no earlier
    quiet: float  # a message younger than this may be another send's, whose answer is still under way


@dataclass(frozen=True, slots=True)
class Card:
    """What a provider can do. The rest of Clarion asks the card, never the provider's name."""

    name: str
    channel: str
    batch_size: int = 1  # deliveries one call can carry; all of one content
    receipts: bool = True  # does the vendor report delivery? If not, `sent` is final
    echoes_key: bool = True  # does a report carry our send key? If not, the vendor's id is kept to match it
    idempotent_for: float = 0  # seconds the vendor remembers an idempotency key; 0: it takes none
    lookup: bool = False  # can the vendor be asked what became of a send? Its ids of all sends are kept for that
    concurrency: int = 64  # calls in flight for one run
    rate: float | None = None  # messages a second the vendor takes from anybody; None: as many as come

"""What every provider is: a card, a way to send, and, where the vendor reports, a way to read its reports."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from domain.messages import Card, Message, Sent
from domain.outcomes import Answer
from domain.receipts import Receipt


class Forged(Exception):
    """The signature of a webhook call does not hold: answer 401, write nothing."""


class Malformed(ValueError):
    """The signature holds, the content makes no sense: answer 422. The text says what is wrong."""


class Unavailable(Exception):
    """What is needed to judge the call cannot be had now, such as a certificate: answer 503, the vendor will repeat."""


@dataclass(frozen=True, slots=True)
class Call:
    """A webhook call as it came in. `headers` has lower-case names; `url` is the public one, with its query."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Provider(ABC):
    """One vendor. Made without arguments: it reads its own section of the settings (`CLARION_{NAME}_…`)."""

    card: ClassVar[Card]

    @abstractmethod
    async def send(self, messages: Sequence[Message], timeout: float) -> Sequence[Answer]:
        """Hand over 1 to `card.batch_size` messages in ONE call within `timeout` seconds; one answer each, in order.

        Several messages always have equal content, sender and priority. Never raises for anything the vendor or the
        network does: that is an answer. Never repeats a call by itself.
        """

    async def look_up(self, sends: Sequence[Sent], timeout: float) -> Sequence[Sequence[str] | None]:
        """Ask the vendor about sends without an answer, in `timeout` seconds in all. Only for a card with `lookup`.

        For each the vendor's ids of all messages that may be this send, by everything the vendor can tell: only the
        ledger knows which of them are others'. None: it could not be asked. Never raises for the vendor or the network.
        """
        return [None] * len(sends)

    async def receipts(self, call: Call) -> Sequence[Receipt]:
        """Verify the signature, then read. Raises Forged, Malformed, Unavailable. Only for a card with `receipts`."""
        raise Forged(f"{self.card.name} sends no receipts")

    @abstractmethod
    async def check(self) -> str:
        """Ask the vendor whether our credentials work, without sending: a line for people. Raises on a 'no'."""

    async def close(self) -> None:  # noqa: B027 - nothing to do is a fair default
        """Give back connections."""

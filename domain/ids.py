"""Names of things: batches, notifications, deliveries and the key a vendor sees for one send."""

from dataclasses import dataclass
from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): sorts by time of creation, so B-trees stay dense and pages can be cut by id."""
    return uuid7()


@dataclass(frozen=True, slots=True, order=True)
class DeliveryId:
    """One message to one recipient by one channel: `{batch}.{seq}` outside."""

    batch: UUID
    seq: int

    def __str__(self) -> str:
        return f"{self.batch}.{self.seq}"

    @classmethod
    def parse(cls, text: str) -> "DeliveryId":
        """Raises ValueError for anything that `str()` would not have made."""
        batch, _, seq = text.partition(".")
        if len(batch) != 36 or not _is_count(seq):
            raise ValueError(f"not a delivery id: {text[:80]!r}")
        return cls(_uuid(batch), int(seq))


@dataclass(frozen=True, slots=True)
class SendKey:
    """What a vendor sees of one send, as idempotency key and as receipt tag: `{batch}.{seq}.{key_no}`.

    A repeat to a vendor that honours idempotency keys carries the same key; every other send has a new one.
    """

    delivery: DeliveryId
    key_no: int

    def __str__(self) -> str:
        return f"{self.delivery}.{self.key_no}"

    @classmethod
    def parse(cls, text: str) -> "SendKey":
        """Raises ValueError for anything that `str()` would not have made."""
        delivery, _, key_no = text.rpartition(".")
        if not _is_count(key_no):
            raise ValueError(f"not a send key: {text[:80]!r}")
        return cls(DeliveryId.parse(delivery), int(key_no))


def _uuid(text: str) -> UUID:
    """UUID() also takes braces, URNs and hyphens anywhere."""
    found = UUID(text)
    if str(found) != text:
        raise ValueError(f"not a UUID as we write it: {text[:80]!r}")
    return found


def _is_count(text: str) -> bool:
    """A plain decimal that fits PostgreSQL's integer."""
    return text.isascii() and text.isdigit() and len(text) <= 9 and (text == "0" or text[0] != "0")

"""Why an address gets nothing more, and how an address is known without being written down."""

import hmac
from enum import StrEnum


class Reason(StrEnum):
    """Why an address is suppressed. The values are what the ledger stores and the API shows."""

    HARD_BOUNCE = "hard_bounce"  # there is no such address, or no longer
    COMPLAINT = "complaint"  # the reader called it spam
    UNSUBSCRIBE = "unsubscribe"
    MANUAL = "manual"


def blind(secret: bytes, tenant: str, channel: str, address: str) -> bytes:
    """An address in its normal form as HMAC-SHA256: equal for equal ones, and nothing to read without the secret.

    NUL parts the fields, since none of them can hold one: two different triples never make the same input.
    """
    return hmac.digest(secret, f"{tenant}\0{channel}\0{address}".encode(), "sha256")


def hint(address: str) -> str:
    """What a person may recognise it by: `a***@example.com`, `+14***00`, `fcm***`. Never enough to write to."""
    name, at, domain = address.rpartition("@")
    if at and not address.startswith("@"):
        return f"{name[0]}***@{domain}"
    if address.startswith("+"):
        return f"{address[:3]}***{address[-2:]}"
    return f"{address[:3]}***"

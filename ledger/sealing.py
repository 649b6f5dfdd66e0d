"""Sealed values: text that only a tenant's data key opens, and only in the place it was sealed for."""

import hmac
import os
from binascii import Error, a2b_base64, b2a_base64
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from ledger.keyring import Unreadable

# `sealed 3 <base64>`: 3 is the data key's version. No address has a space in it, and JSON columns hold objects or this.
_MARK = "sealed "
_NONCE = 12

RECIPIENT_ID = b"delivery.recipient_id"  # equal ones have to be equal there, whatever the row


def address_of(batch: UUID, seq: int) -> bytes:
    """The place of a delivery's address."""
    return b"delivery.address\0" + batch.bytes + seq.to_bytes(4)


def content_of(notification: UUID) -> bytes:
    """The place of a notification's content."""
    return b"notification.content\0" + notification.bytes


def entry_of(recipient: str) -> bytes:
    """The place of a person's addresses in the address book."""
    return b"recipient.addresses\0" + recipient.encode()


def version_of(stored: object) -> int | None:
    """Of the data key that a value is sealed with; None for one that is not sealed: it is older than sealing."""
    if not isinstance(stored, str) or not stored.startswith(_MARK):
        return None
    version = stored[len(_MARK) :].partition(" ")[0]
    return int(version) if version.isascii() and version.isdigit() else None


class DataKey:
    """One version of a tenant's key.

    AES-256-GCM-SIV (RFC 8452): with random nonces one key is good for 2^48 values and more, where AES-GCM ends at 2^32,
    two weeks of a busy tenant; and a nonce made from the text tells no more than that two texts are equal.
    """

    def __init__(self, tenant: str, version: int, key: bytes) -> None:
        self.version = version
        self._box = AESGCMSIV(hmac.digest(key, b"clarion: values", "sha256"))
        self._nonces = hmac.digest(key, b"clarion: nonces", "sha256")
        self._tenant = f"{tenant}\0".encode()
        self._head = f"{_MARK}{version} "

    def seal(self, place: bytes, text: str) -> str:
        """Another value each time."""
        return self._sealed(os.urandom(_NONCE), place, text)

    def seal_json(self, place: bytes, document: str) -> str:
        """A JSON document for a JSON column, where a string takes the place of the object. Base64 needs no escapes."""
        return f'"{self.seal(place, document)}"'

    def seal_same(self, place: bytes, text: str) -> str:
        """The same value for the same text, to be found by."""
        return self._sealed(hmac.digest(self._nonces, place + b"\0" + text.encode(), "sha256")[:_NONCE], place, text)

    def open(self, place: bytes, stored: str) -> str:
        """The text. Raises Unreadable for what was changed, or sealed for another place or tenant."""
        try:
            raw = a2b_base64(stored[len(self._head) :])
            return self._box.decrypt(raw[:_NONCE], raw[_NONCE:], self._tenant + place).decode()
        except (InvalidTag, Error, ValueError):
            where = place.partition(b"\0")[0].decode(errors="replace")
            raise Unreadable(f"a {where} does not open: it was changed, or moved there from elsewhere") from None

    def _sealed(self, nonce: bytes, place: bytes, text: str) -> str:
        sealed = nonce + self._box.encrypt(nonce, text.encode(), self._tenant + place)
        return self._head + b2a_base64(sealed, newline=False).decode()

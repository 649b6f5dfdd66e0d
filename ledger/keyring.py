"""The keys that wrap keys: named in CLARION_ENCRYPTION_KEYS, kept nowhere else (decision 0024)."""

import os
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.database import LedgerUnavailable
from settings import Settings, SettingsError

KEY_BYTES = 32  # AES-256

_VARIABLE = "CLARION_ENCRYPTION_KEYS"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}\Z")
_NONCE = 12  # bytes, random: a key wraps some thousands of keys, far from 2^32 (NIST SP 800-38D, 8.3)


class Unreadable(LedgerUnavailable):
    """Something sealed cannot be opened here: its key is missing or another, or it was changed. The text says which.

    It is there all the same, so whoever wants it tries again later, as when PostgreSQL is away.
    """


class Keyring:
    """Some keys by their ids, the newest first: that one wraps, all of them unwrap."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """At least one key of KEY_BYTES bytes."""
        self.newest = next(iter(keys))
        self._keys = {id: AESGCM(key) for id, key in keys.items()}

    @property
    def ids(self) -> tuple[str, ...]:
        """The newest first."""
        return tuple(self._keys)

    def wrap(self, tenant: str, version: int, data_key: bytes) -> bytes:
        """A data key under the newest key, good for this tenant and version only."""
        nonce = os.urandom(_NONCE)
        return nonce + self._keys[self.newest].encrypt(nonce, data_key, _bound(tenant, version))

    def unwrap(self, id: str, tenant: str, version: int, wrapped: bytes) -> bytes:
        """The data key again. Raises Unreadable."""
        if id not in self._keys:
            raise Unreadable(f"{_VARIABLE} lacks the key {id}, which tenant {tenant}'s data key {version} needs")
        try:
            return self._keys[id].decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _bound(tenant, version))
        except InvalidTag:
            raise Unreadable(
                f"the key {id} in {_VARIABLE} is not the one that wrapped tenant {tenant}'s data key {version}"
            ) from None


def keyring_of(settings: Settings) -> Keyring:
    """The keys of the settings. Raises SettingsError with one line that says the way out."""
    if settings.encryption_keys is None:
        raise SettingsError(
            f"{_VARIABLE} is not set: addresses and messages are sealed with it. `clarion secrets new` prints one; "
            "keep it safe and give every process the same."
        )
    return Keyring(_parsed(settings.encryption_keys.get_secret_value()))


def new_key(id: str) -> str:
    """A fresh key as it stands in the setting. Raises ValueError with one plain sentence."""
    if not _ID.match(id):
        raise ValueError(
            "A key's id is 1 to 40 of letters, digits, `.`, `_` and `-`, and starts with none of these signs."
        )
    return f"{id}:{b64encode(os.urandom(KEY_BYTES)).decode()}"


def _parsed(text: str) -> Mapping[str, bytes]:
    keys: dict[str, bytes] = {}
    for place, part in enumerate(text.split(","), 1):
        id, _, secret = part.strip().partition(":")
        try:
            key = b64decode(secret, validate=True)
        except ValueError:
            key = b""
        if not _ID.match(id) or len(key) != KEY_BYTES:
            raise SettingsError(
                f"{_VARIABLE}: entry {place} is not ID:BASE64-OF-{KEY_BYTES}-BYTES, as of `clarion secrets new`"
            )
        if id in keys:
            raise SettingsError(f"{_VARIABLE}: the id {id} is there twice; each key needs its own")
        keys[id] = key
    return keys


def _bound(tenant: str, version: int) -> bytes:
    return f"{tenant}\0{version}".encode()

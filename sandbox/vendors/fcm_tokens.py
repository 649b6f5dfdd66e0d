"""Google's side of the OAuth JWT grant: checks the assertion, hands out access tokens that expire.

Source: https://developers.google.com/identity/protocols/oauth2/service-account (the HTTP/REST steps)
"""

import base64
import binascii
import hashlib
import hmac
import time
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from sandbox import keys
from sandbox.credentials import Credentials

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPES = {
    "https://www.googleapis.com/auth/firebase.messaging",
    "https://www.googleapis.com/auth/cloud-platform",
}
_LONGEST = 3600 + 300  # seconds an assertion may live, and how wrong clocks may be


class InvalidGrant(Exception):
    """Why there is no token, in Google's words."""


class Tokens:
    """Access tokens carry their own expiry under our seal, so they outlive a restart."""

    def __init__(self, credentials: Credentials) -> None:
        self._email = credentials.fcm_client_email
        self._public = keys.load_rsa(credentials.fcm_private_key).public_key()
        self._secret = credentials.fcm_token_secret.encode()

    def grant(self, form: dict[str, str], lifetime: int) -> tuple[str, int]:
        """An access token and the seconds it lives. Raises InvalidGrant."""
        if form.get("grant_type") != _GRANT:
            raise InvalidGrant("Invalid grant_type")
        claims = self._claims(form.get("assertion", ""))
        now = time.time()
        if claims.get("iss") != self._email:
            raise InvalidGrant("Invalid grant: account not found")
        if not str(claims.get("aud")).endswith("/fcm/token"):
            raise InvalidGrant("Invalid JWT: Failed audience check.")
        if not _SCOPES & set(str(claims.get("scope")).split()):
            raise InvalidGrant("Invalid OAuth scope")
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int | float) or not isinstance(expires, int | float):
            raise InvalidGrant("Invalid JWT: iat and exp are required")
        if not now - _LONGEST < issued < now + 300 or not now < expires <= issued + _LONGEST:
            raise InvalidGrant("Invalid JWT: Token must be a short-lived token and in a reasonable timeframe.")
        return self._sealed(str(int(now + lifetime))), lifetime

    def valid(self, authorization: str) -> bool:
        """Is this `Bearer` header one of ours, and not expired?"""
        token = authorization.removeprefix("Bearer ya29.")
        expires = token.partition(".")[0]
        sealed = self._sealed(expires).encode()
        whole = hmac.compare_digest(authorization.encode(), b"Bearer " + sealed)
        return whole and time.time() < int(expires)

    def _sealed(self, expires: str) -> str:
        return f"ya29.{expires}.{hmac.new(self._secret, expires.encode(), hashlib.sha256).hexdigest()}"

    def _claims(self, assertion: str) -> dict[str, Any]:
        signed, _, signature = assertion.rpartition(".")
        try:
            self._public.verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
            claims = orjson.loads(_decoded(signed.partition(".")[2]))
        except (InvalidSignature, ValueError, binascii.Error):
            raise InvalidGrant("Invalid JWT Signature.") from None
        if not isinstance(claims, dict):
            raise InvalidGrant("Invalid JWT: claims must be an object")
        return claims


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

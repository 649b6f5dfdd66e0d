"""What an SNS topic posts to us: signatures verified, subscriptions confirmed, notifications handed on."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate
from yarl import URL

from providers.base import Call, Forged, Malformed, Unavailable
from providers.http import Http, Reply
from providers.reading import base64_of, require_recent, rfc3339

_HOST = re.compile(r"sns\.[a-z0-9-]{3,40}\.amazonaws\.com(\.cn)?\Z")
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9a-f]{8,64}\.pem\Z")
_HASHES = {"1": SHA1, "2": SHA256}
# "Verifying the signatures of Amazon SNS messages": the fields that are signed, in this order; Subject only if present.
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
_CERTIFICATES = 16  # kept; Amazon has one per region, and a new one about once a year
_TIMEOUT = 5  # seconds


class Topic:
    """One topic we believe, by its ARN. Any AWS account can sign with Amazon's key: the ARN is what makes it ours."""

    def __init__(self, arn: str, max_age: float, cert_url: str | None, http: Http) -> None:
        self._arn = arn
        self._max_age = max_age
        self._cert_url = cert_url
        self._http = http
        self._keys: dict[str, RSAPublicKey] = {}

    async def notification(self, call: Call) -> Mapping[str, str] | None:
        """The envelope of a notification, verified; None for what only concerns the subscription.

        Raises Forged, and Unavailable if the certificate or the confirmation cannot be had now.
        """
        envelope = await self._verified(call)
        if envelope["Type"] == "SubscriptionConfirmation":
            await self._confirm(envelope["SubscribeURL"])
        return envelope if envelope["Type"] == "Notification" else None

    async def _verified(self, call: Call) -> Mapping[str, str]:
        envelope = _envelope(call.body)
        if envelope.get("TopicArn") != self._arn:
            raise Forged("not a topic of ours")
        try:
            signed = _signed_text(envelope)
            key = await self._key(envelope["SigningCertURL"])
            algorithm = _HASHES[envelope["SignatureVersion"]]()
            key.verify(base64_of(envelope["Signature"]), signed, PKCS1v15(), algorithm)
            require_recent(rfc3339(envelope["Timestamp"], "Timestamp"), self._max_age)
        except (KeyError, ValueError, InvalidSignature, UnsupportedAlgorithm):
            raise Forged("the signature does not hold") from None
        return envelope

    async def _key(self, url: str) -> RSAPublicKey:
        if url not in self._keys:
            if url != self._cert_url and not (_is_amazon(url) and _CERTIFICATE.match(url.partition(".com")[2])):
                raise Forged("the certificate is not Amazon's")
            certificate = load_pem_x509_certificate(await self._get(url))
            if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
                raise Forged("the certificate is not valid today")
            key = certificate.public_key()
            if not isinstance(key, RSAPublicKey):
                raise Forged("the certificate has no RSA key")
            if len(self._keys) >= _CERTIFICATES:
                self._keys.clear()
            self._keys[url] = key
        return self._keys[url]

    async def _confirm(self, url: str) -> None:
        try:
            ours = self._cert_url is not None and _origin(url) == _origin(self._cert_url)
            if not ours and not _is_amazon(url):
                raise Forged("the subscription is not confirmed at Amazon's")
            await self._get(url)
        except ValueError:
            raise Malformed("SubscribeURL is no URL") from None

    async def _get(self, url: str) -> bytes:
        reply = await self._http.call("GET", URL(url, encoded=True), {}, _TIMEOUT)
        if not isinstance(reply, Reply) or reply.status != 200:
            raise Unavailable(f"{urlsplit(url).hostname} does not answer as it should")
        return reply.body


def _envelope(body: bytes) -> Mapping[str, str]:
    # Not yet verified, so nothing here may be trusted: every field that is not text is left out.
    try:
        envelope = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Forged("this is not JSON") from None
    if not isinstance(envelope, dict):
        raise Forged("this is no message of SNS")
    return {name: value for name, value in envelope.items() if isinstance(value, str)}


def _signed_text(envelope: Mapping[str, str]) -> bytes:
    fields = [name for name in _SIGNED[envelope["Type"]] if name in envelope or name != "Subject"]
    return "".join(f"{name}\n{envelope[name]}\n" for name in fields).encode()


def _is_amazon(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and _HOST.match(parts.netloc) is not None


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc

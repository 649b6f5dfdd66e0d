"""Vendors' signatures made here, from the vendors' own descriptions, by keys of our own."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any
from urllib.parse import urlencode

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import CertificateBuilder, Name, NameAttribute, random_serial_number
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

from providers.base import Call

TOPIC = "arn:aws:sns:eu-west-1:123456789012:events"


class SendGridSigner:
    """A signed event webhook."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.webhook_key = base64.b64encode(public).decode()

    def call(self, body: bytes, at: float | None = None) -> Call:
        """`at`: seconds since 1970; now."""
        timestamp = str(int(time() if at is None else at))
        signature = base64.b64encode(self._key.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))).decode()
        headers = {
            "x-twilio-email-event-webhook-signature": signature,
            "x-twilio-email-event-webhook-timestamp": timestamp,
        }
        return Call("https://notify.example.com/webhook/sendgrid", headers, body)


def twilio_call(token: str, url: str, form: dict[str, str]) -> Call:
    """A signed status callback."""
    text = url + "".join(name + form[name] for name in sorted(form))
    signature = base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()
    return Call(url, {"x-twilio-signature": signature}, urlencode(form).encode())


class SnsSigner:
    """Messages of an SNS topic, and the certificate they are signed with."""

    def __init__(self, valid: timedelta = timedelta(days=1)) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = Name([NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        end = datetime.now(UTC) + valid
        builder = CertificateBuilder(name, name, self._key.public_key(), random_serial_number())
        dated = builder.not_valid_before(end - timedelta(days=2)).not_valid_after(end)
        self.certificate = dated.sign(self._key, SHA256()).public_bytes(Encoding.PEM)

    def call(self, cert_url: str, **changes: Any) -> Call:
        """A notification, with changes made before it is signed."""
        message = {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Message": "{}",
            "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "SignatureVersion": "2",
            "SigningCertURL": cert_url,
            **changes,
        }
        names = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
        text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message).encode()
        algorithm = SHA1() if message["SignatureVersion"] == "1" else SHA256()
        signature = base64.b64encode(self._key.sign(text, padding.PKCS1v15(), algorithm)).decode()
        return Call("https://notify.example.com/webhook/ses", {}, orjson.dumps({**message, "Signature": signature}))


def callback_call(secret: str, body: bytes, at: datetime | None = None) -> Call:
    """A call signed by Standard Webhooks. `at`: now. The body must be UTF-8, as all JSON is."""
    moment = at or datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", moment, body.decode()),
    }
    return Call("https://notify.example.com/webhook/callback", headers, body)

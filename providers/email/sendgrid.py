"""SendGrid v3: mail send, one call for up to 1,000 recipients, and its signed event webhook."""

from collections.abc import Sequence
from datetime import timedelta
from time import time
from typing import Any, ClassVar

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from sendgrid.helpers.eventwebhook import EventWebhook
from yarl import URL

from domain.messages import Card, Message
from domain.outcomes import Answer, Outcome, accepted
from domain.receipts import Receipt
from providers.base import Call, Forged, Provider
from providers.email.mail import MailSettings, from_address, name_and_address, subject_of
from providers.email.sendgrid_events import KEY_ARGUMENT, read_events
from providers.errors import ErrorMap, refused, retry_after
from providers.http import BaseUrl, Http, Reply, require_ok
from providers.reading import code, epoch, require_recent
from settings import Section, SettingsError

_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIMESTAMP = "x-twilio-email-event-webhook-timestamp"


class SendGridSettings(Section):
    """How to reach SendGrid and how to know its events."""

    model_config = SettingsConfigDict(env_prefix="CLARION_SENDGRID_")

    url: BaseUrl = "https://api.sendgrid.com"
    api_key: SecretStr
    webhook_key: str | None = Field(None, description="verification key of the signed event webhook")
    max_age: float = Field(timedelta(hours=24).total_seconds(), gt=0, description="seconds; SendGrid repeats for 24 h")


class SendGrid(Provider):
    """Email by SendGrid."""

    card = Card("sendgrid", "email", batch_size=1000)
    settings: ClassVar = (SendGridSettings, MailSettings)

    # Mail Send reference, "responses" and "errors"; rate limits reference for 429.
    errors: ClassVar[ErrorMap] = {
        "401": Outcome.VENDOR_DOWN,  # the key is wrong or revoked
        "403": Outcome.VENDOR_DOWN,  # the key lacks the scope, or the account is closed
        "from": Outcome.RETRYABLE,  # 403 about `from`: a tenant's unverified sender; another vendor may know it
        "404": Outcome.VENDOR_DOWN,  # not SendGrid: the URL is wrong
        "408": Outcome.RETRYABLE,  # RFC 9110, 15.5.9: the request did not arrive whole
        "429": Outcome.THROTTLED,  # with X-RateLimit-Reset, a time in seconds since 1970
        "4xx": Outcome.REJECTED,  # 400, 413, ...: this mail, whenever it is sent
        "500": Outcome.RETRYABLE,  # an error in their server: taken for not queued, else every outage would be a doubt
        "503": Outcome.RETRYABLE,  # the API is not available
        "5xx": Outcome.IN_DOUBT,  # 502, 504: a gateway gave up on a server that may have queued it
        "3xx": Outcome.VENDOR_DOWN,  # not SendGrid: the URL is wrong
    }

    def __init__(self) -> None:
        self._settings = SendGridSettings.load()
        self._mail = MailSettings.load()
        self._webhook = _webhook(self._settings.webhook_key)
        self._http = Http()
        self._url = URL(f"{self._settings.url}/v3/mail/send")
        self._headers = {"Authorization": f"Bearer {self._settings.api_key.get_secret_value()}"}

    async def send(self, messages: Sequence[Message], timeout: float) -> Sequence[Answer]:
        """One mail/send call, a personalization for each message; they share its fate."""
        headers = {"Content-Type": "application/json", **self._headers, **messages[0].headers}
        reply = await self._http.call("POST", self._url, headers, timeout, orjson.dumps(_mail(messages, self._mail)))
        return [_answer(reply) if isinstance(reply, Reply) else reply] * len(messages)

    async def receipts(self, call: Call) -> Sequence[Receipt]:
        """The signature is ECDSA over the timestamp and the raw body (Event Webhook, "security features")."""
        self._verify(call)
        return read_events(self.card.name, call.body)

    async def check(self) -> str:
        """Lists the scopes of the API key: `mail.send` must be among them."""
        reply = await self._http.call("GET", URL(f"{self._settings.url}/v3/scopes"), self._headers, timeout=10)
        scopes = require_ok(reply, "CLARION_SENDGRID_API_KEY", self._settings.url).json()
        if "mail.send" not in scopes.get("scopes", []):
            raise SettingsError("CLARION_SENDGRID_API_KEY: this key lacks the scope mail.send")
        return f"SendGrid at {self._settings.url} knows our key, and it may send"

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _verify(self, call: Call) -> None:
        if self._webhook is None:
            raise Forged("CLARION_SENDGRID_WEBHOOK_KEY is not set")
        timestamp = call.headers.get(_TIMESTAMP, "")
        try:
            signed = self._webhook.verify_signature(call.body.decode(), call.headers.get(_SIGNATURE, ""), timestamp)
            moment = epoch(int(timestamp), "the timestamp")
        except ValueError:  # neither base64 nor UTF-8 nor a number
            raise Forged("the signature or its timestamp cannot be read") from None
        if not signed:
            raise Forged("the signature does not hold")
        require_recent(moment, self._settings.max_age)


def _webhook(key: str | None) -> EventWebhook | None:
    try:
        webhook = EventWebhook(key) if key else None
    except (ValueError, UnsupportedAlgorithm):
        webhook = EventWebhook()
    if webhook is not None and not isinstance(webhook.public_key, EllipticCurvePublicKey):
        raise SettingsError("CLARION_SENDGRID_WEBHOOK_KEY: not a verification key as SendGrid shows it")
    return webhook


def _mail(messages: Sequence[Message], settings: MailSettings) -> dict[str, Any]:
    first = messages[0]
    content = first.content
    parts = [{"type": kind, "value": text} for kind, text in _parts(content.text, content.html) if text]
    mail: dict[str, Any] = {
        "personalizations": [
            {"to": [{"email": message.address}], "custom_args": {KEY_ARGUMENT: str(message.key)}}
            for message in messages
        ],
        "from": _party(from_address(first, settings)),
        "subject": subject_of(content),
        "content": parts,
    }
    if first.sender.reply_to:
        mail["reply_to"] = _party(first.sender.reply_to)
    return mail


def _parts(text: str, html: str | None) -> tuple[tuple[str, str | None], ...]:
    return ("text/plain", text), ("text/html", html)  # SendGrid wants them in this order


def _party(text: str) -> dict[str, str]:
    name, address = name_and_address(text)
    return {"email": address, "name": name} if name else {"email": address}


def _answer(reply: Reply) -> Answer:
    if reply.status == 202:
        return accepted(reply.headers.get("X-Message-Id"))
    return refused(SendGrid.errors, reply.status, _field(reply), _pause(reply))


def _field(reply: Reply) -> str | None:
    """The field the first error is about, such as `from`; never the text, which quotes what was sent."""
    errors = reply.json().get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    field = first.get("field") if isinstance(first, dict) else None
    if not isinstance(field, str):
        return None
    return code("from" if field.startswith("from") else field) or None


def _pause(reply: Reply) -> float | None:
    wish = retry_after(reply.headers)
    reset = reply.headers.get("X-RateLimit-Reset", "")
    return float(reset) - time() if wish is None and reset.isascii() and reset.isdigit() else wish

"""The four ways vendors sign: a genuine call of each, and what exactly of a call its signature covers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from time import time
from typing import Any
from urllib.parse import parse_qsl

import orjson

from bench.fuzz.signing import TOPIC, SendGridSigner, SnsSigner, callback_call, twilio_call
from domain.ids import DeliveryId, SendKey, new_id
from providers.base import Call

PUBLIC = "https://notify.example.com"
_OUTDATED = timedelta(days=10)  # beyond every window that is left as it is
_AHEAD = timedelta(minutes=10)  # beyond the five minutes a vendor's clock may run ahead
_SNS_FIELDS = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


class Scheme(ABC):
    """One way to sign. Every call is about a send that the ledger does not know: taken, it leaves one row."""

    name: str
    dated = True  # whether the signature covers a time

    @abstractmethod
    def genuine(self, shift: timedelta = timedelta(), *, strange: bool = False) -> Call:
        """A call that nobody made before, signed so long from now; `strange`: with a key that is not the vendor's."""

    @abstractmethod
    def resigned(self, body: bytes) -> Call:
        """Any body under a good signature."""

    @abstractmethod
    def covered(self, call: Call) -> object:
        """What the signature stands for: two calls with equal covers say the same. None: it cannot be read."""

    def outdated(self) -> Call:
        """Signed well, but long ago."""
        return self.genuine(-_OUTDATED)

    def ahead(self) -> Call:
        """Signed well, but not yet."""
        return self.genuine(_AHEAD)


class Callback(Scheme):
    """Standard Webhooks: id, timestamp and body."""

    name = "callback"

    def __init__(self, secret: str, strange: str) -> None:
        self._secret, self._strange = secret, strange
        self._numbers = count()

    def genuine(self, shift: timedelta = timedelta(), *, strange: bool = False) -> Call:
        """See Scheme."""
        event = {
            "delivery_id": str(DeliveryId(new_id(), 0)),
            "status": "delivered",
            "event_id": f"evt_{next(self._numbers)}",
            "occurred_at": "2026-03-01T09:00:02Z",
        }
        moment = datetime.now(UTC) + shift
        return callback_call(self._strange if strange else self._secret, orjson.dumps(event), moment)

    def resigned(self, body: bytes) -> Call:
        """See Scheme. The library signs text, so a body that is none loses what is not."""
        return callback_call(self._secret, body.decode(errors="ignore").encode())

    def covered(self, call: Call) -> object:
        """See Scheme. Spaces around a header's value are none of it (RFC 9110, 5.5)."""
        timestamp = call.headers.get("webhook-timestamp", "").strip()
        return (call.headers.get("webhook-id"), timestamp, call.body)


class SendGridEvents(Scheme):
    """ECDSA over timestamp and body."""

    name = "sendgrid"

    def __init__(self) -> None:
        self.signer, self._stranger = SendGridSigner(), SendGridSigner()
        self._numbers = count()

    def genuine(self, shift: timedelta = timedelta(), *, strange: bool = False) -> Call:
        """See Scheme."""
        number = next(self._numbers)
        event = {
            "event": "delivered",
            "email": "ada@example.com",
            "timestamp": int(time()),
            "sg_event_id": f"event-{number}",
            "sg_message_id": f"message-{number}.recvd-0",
            "clarion_key": str(SendKey(DeliveryId(new_id(), 0), 1)),
        }
        signer = self._stranger if strange else self.signer
        return signer.call(orjson.dumps([event]), time() + shift.total_seconds())

    def resigned(self, body: bytes) -> Call:
        """See Scheme."""
        return self.signer.call(body)

    def covered(self, call: Call) -> object:
        """See Scheme."""
        return (call.headers.get("x-twilio-email-event-webhook-timestamp"), call.body)


class TwilioCallback(Scheme):
    """HMAC over the URL and the sorted form, names and values run together; no time in it."""

    name = "twilio"
    dated = False

    def __init__(self, token: str) -> None:
        self._token = token
        self._numbers = count()

    def genuine(self, shift: timedelta = timedelta(), *, strange: bool = False) -> Call:
        """See Scheme."""
        sid = f"SM{next(self._numbers):032x}"
        form = {"AccountSid": "AC1", "MessageSid": sid, "MessageStatus": "delivered", "To": "+14155550123"}
        return twilio_call("not the token" if strange else self._token, self._url(), form)

    def resigned(self, body: bytes) -> Call:
        """See Scheme."""
        return twilio_call(self._token, self._url(), dict(parse_qsl(body.decode(errors="ignore"), True)))

    def covered(self, call: Call) -> object:
        """See Scheme. A pair that stands there twice is signed once."""
        try:
            pairs = sorted(set(parse_qsl(call.body.decode(), keep_blank_values=True)))
        except ValueError:
            return None
        return (call.url, "".join(name + value for name, value in pairs))

    def _url(self) -> str:
        return f"{PUBLIC}/webhook/twilio?key={SendKey(DeliveryId(new_id(), 0), 1)}"


class SesTopic(Scheme):
    """RSA over some fields of the envelope of SNS."""

    name = "ses"

    def __init__(self, cert_url: str, signer: SnsSigner) -> None:
        self._cert_url, self._signer, self._stranger = cert_url, signer, SnsSigner()
        self._numbers = count()

    def genuine(self, shift: timedelta = timedelta(), *, strange: bool = False) -> Call:
        """See Scheme."""
        moment = (datetime.now(UTC) + shift).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        signer = self._stranger if strange else self._signer
        return self._call(signer, orjson.dumps(_ses_event()).decode(), Timestamp=moment)

    def resigned(self, body: bytes) -> Call:
        """See Scheme. The body becomes what the notification says."""
        return self._call(self._signer, body.decode(errors="ignore"))

    def covered(self, call: Call) -> object:
        """See Scheme."""
        try:
            envelope: Any = orjson.loads(call.body)
        except orjson.JSONDecodeError:
            return None
        return {name: envelope.get(name) for name in _SNS_FIELDS} if isinstance(envelope, dict) else None

    def _call(self, signer: SnsSigner, message: str, **changes: str) -> Call:
        return signer.call(self._cert_url, Message=message, MessageId=f"id-{next(self._numbers)}", **changes)


def _ses_event() -> Mapping[str, Any]:
    tag = str(SendKey(DeliveryId(new_id(), 0), 1)).replace(".", "_")
    return {"eventType": "Delivery", "mail": {"messageId": f"0100-{new_id()}", "tags": {"clarion_key": [tag]}}}


def settings_of(schemes: Mapping[str, Scheme], secret: str, token: str, cert_url: str) -> Mapping[str, str]:
    """The CLARION_ variables of an API that believes these schemes and sends nothing anywhere."""
    nowhere = "http://127.0.0.1:9"
    sendgrid = schemes["sendgrid"]
    assert isinstance(sendgrid, SendGridEvents)
    return {
        "CLARION_CALLBACK_SECRET": secret,
        "CLARION_SENDGRID_URL": nowhere,
        "CLARION_SENDGRID_API_KEY": "SG.fuzz",
        "CLARION_SENDGRID_WEBHOOK_KEY": sendgrid.signer.webhook_key,
        "CLARION_TWILIO_URL": nowhere,
        "CLARION_TWILIO_ACCOUNT_SID": "AC1",
        "CLARION_TWILIO_AUTH_TOKEN": token,
        "CLARION_TWILIO_FROM": "+15005550006",
        "CLARION_SES_URL": nowhere,
        "CLARION_SES_REGION": "eu-west-1",
        "CLARION_SES_ACCESS_KEY_ID": "AKIAFUZZ",
        "CLARION_SES_SECRET_ACCESS_KEY": "fuzz",
        "CLARION_SES_TOPIC_ARN": TOPIC,
        "CLARION_SES_CERT_URL": cert_url,
        "CLARION_MAIL_FROM": "clarion@example.com",
    }

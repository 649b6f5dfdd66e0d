"""The SNS topic SES reports through: subscription first, then signed notifications.

Formats: https://docs.aws.amazon.com/sns/latest/dg/http-subscription-confirmation-json.html,
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

import asyncio
import base64
import secrets
import time
import uuid
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from sandbox import keys
from sandbox.credentials import TOPIC
from sandbox.postman import Parcel, Post
from sandbox.shared import Shared

_ROOM = 10_000  # notifications waiting for a subscription to be confirmed; the oldest are lost
_ASK_AGAIN = 60  # seconds until an unanswered confirmation is asked for again
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}


@dataclass(frozen=True, slots=True)
class Terms:
    """How a message is signed: at what time, in which version, honestly or not; `base` is the sandbox's address."""

    base: str
    at: float
    version: str = "2"
    forged: bool = False


@dataclass(slots=True)
class _Subscription:
    token: str = field(default_factory=lambda: secrets.token_hex(64))
    asked_at: float = 0
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: deque[tuple[int, Parcel]] = field(default_factory=lambda: deque[tuple[int, Parcel]](maxlen=_ROOM))


class Topic:
    """One topic with a subscription for each callback URL. Confirmed ones are kept over restarts."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._key = keys.load_rsa(shared.credentials.sns_private_key)
        self._strange_key = keys.new_rsa()
        self._file = shared.data_dir / "subscriptions.json"
        self._subscriptions: defaultdict[str, _Subscription] = defaultdict(_Subscription)
        for url in orjson.loads(self._file.read_bytes()) if self._file.exists() else []:
            self._subscriptions[url].confirmed.set()

    @property
    def _url(self) -> str:
        return f"{self._shared.callback_url}/ses"

    def publish(self, messages: list[str], terms: Terms) -> None:
        """Post these notifications, in order, as soon as the subscription is confirmed."""
        parcel = self._parcel(messages, terms)
        subscription = self._subscribed(terms)
        if subscription.confirmed.is_set():
            self._shared.postman.send(parcel)
        else:
            subscription.waiting.append((self._shared.generation, parcel))

    async def publish_now(self, messages: list[str], terms: Terms, patience: float = 10) -> None:
        """Post these before returning; waits up to `patience` seconds for the subscription."""
        try:
            await asyncio.wait_for(self._subscribed(terms).confirmed.wait(), patience)
        except TimeoutError:
            self.publish(messages, terms)
        else:
            await self._shared.postman.deliver(self._parcel(messages, terms))

    def confirm(self, token: str) -> bool:
        """The SubscribeURL was visited. False: nobody was given this token."""
        for url, subscription in self._subscriptions.items():
            if secrets.compare_digest(subscription.token.encode(), token.encode()):
                subscription.confirmed.set()
                confirmed = [one for one, its in self._subscriptions.items() if its.confirmed.is_set()]
                self._file.write_bytes(orjson.dumps(confirmed))
                self._release(self._subscriptions[url])
                return True
        return False

    def _release(self, subscription: _Subscription) -> None:
        while subscription.waiting:
            generation, parcel = subscription.waiting.popleft()
            if generation == self._shared.generation:
                self._shared.postman.send(parcel)

    def _subscribed(self, terms: Terms) -> _Subscription:
        """The callback URL's subscription; asks for its confirmation if that is open."""
        subscription = self._subscriptions[self._url]
        now = time.monotonic()
        if not subscription.confirmed.is_set() and (
            not subscription.asked_at or now - subscription.asked_at > _ASK_AGAIN
        ):
            subscription.asked_at = now
            self._ask(subscription, Terms(terms.base, time.time(), terms.version))
        return subscription

    def _ask(self, subscription: _Subscription, terms: Terms) -> None:
        query = urlencode({"Action": "ConfirmSubscription", "TopicArn": TOPIC, "Token": subscription.token})
        text = (
            f"You have chosen to subscribe to the topic {TOPIC}.\n"
            "To confirm the subscription, visit the SubscribeURL included in this message."
        )
        link = f"{terms.base}/sns/?{query}"
        content = {"Token": subscription.token, "Message": text, "SubscribeURL": link}
        self._shared.postman.send(Parcel([self._post("SubscriptionConfirmation", content, terms, receipts=0)]))

    def _parcel(self, messages: list[str], terms: Terms) -> Parcel:
        contents = [{"Subject": "Amazon SES Email Event Notification", "Message": message} for message in messages]
        return Parcel([self._post("Notification", one, terms) for one in contents], retry=not terms.forged)

    def _post(self, kind: str, content: dict[str, str], terms: Terms, receipts: int = 1) -> Post:
        moment = datetime.fromtimestamp(terms.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        message = {"Type": kind, "MessageId": str(uuid.uuid4()), "TopicArn": TOPIC, **content, "Timestamp": moment}
        message["SignatureVersion"] = terms.version
        message["Signature"] = self._signature(message, terms)
        message["SigningCertURL"] = f"{terms.base}/sns/cert.pem"
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "User-Agent": "Amazon Simple Notification Service Agent",
            "x-amz-sns-message-type": kind,
            "x-amz-sns-message-id": message["MessageId"],
            "x-amz-sns-topic-arn": TOPIC,
        }
        return Post("ses", self._url, orjson.dumps(message), headers, receipts)

    def _signature(self, message: dict[str, str], terms: Terms) -> str:
        names = [name for name in _SIGNED[message["Type"]] if name in message]
        text = "".join(f"{name}\n{message[name]}\n" for name in names)
        digest = hashes.SHA1() if terms.version == "1" else hashes.SHA256()  # noqa: S303 - what SNS's version 1 is
        key = self._strange_key if terms.forged else self._key
        return base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), digest)).decode()

"""Twilio Messages: one form post for each SMS, and its signed status callbacks."""

import asyncio
import hmac
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from aiohttp import encode_basic_auth
from multidict import MultiDict
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from twilio.request_validator import RequestValidator, add_port, remove_port
from yarl import URL

from domain.ids import SendKey
from domain.messages import Card, Content, Message, Sender, Sent
from domain.outcomes import Answer, Outcome, accepted
from domain.receipts import Receipt, Report
from domain.suppressions import Reason
from providers.base import Call, Forged, Provider
from providers.errors import ErrorMap, Suppressions, refused, retry_after
from providers.http import BaseUrl, Http, Reply, require_ok
from providers.reading import code, identifier, send_key
from providers.sms.twilio_list import PAGE, matching
from settings import Section, SettingsError

_FORM_FIELDS = 100  # a callback has about 20
_AT_ONCE = 8  # look-ups
# Status callback reference: the other statuses (queued, sending, sent, read) are steps on the way or come after it.
_REPORTS = {"delivered": Report.DELIVERED, "undelivered": Report.UNDELIVERED, "failed": Report.UNDELIVERED}


class TwilioSettings(Section):
    """How to reach Twilio, and the number or messaging service to send from."""

    model_config = SettingsConfigDict(env_prefix="CLARION_TWILIO_")

    url: BaseUrl = "https://api.twilio.com"
    account_sid: str
    auth_token: SecretStr
    sender: str | None = Field(None, validation_alias="CLARION_TWILIO_FROM", description="number or sender id")
    messaging_service_sid: str | None = Field(None, description="instead of a number: a pool of them")


class Twilio(Provider):
    """SMS by Twilio."""

    card = Card("twilio", "sms", lookup=True)
    settings: ClassVar = (TwilioSettings,)

    # Error dictionary (twilio.com/docs/api/errors) for the five digits; the support article "Handling Twilio REST API
    # error codes and implementing retry logic" for statuses: 500 and 503 are generally safe to repeat.
    errors: ClassVar[ErrorMap] = {
        "20003": Outcome.VENDOR_DOWN,  # authentication failed
        "20005": Outcome.VENDOR_DOWN,  # account not active
        "20429": Outcome.THROTTLED,  # too many requests
        "21408": Outcome.RETRYABLE,  # our account may not send to that country: another vendor may
        "21606": Outcome.RETRYABLE,  # the sender is not this account's number: another vendor may know it
        "21611": Outcome.THROTTLED,  # the sender's queue is full
        "21612": Outcome.RETRYABLE,  # no route from this sender to that number
        "21659": Outcome.RETRYABLE,  # the sender is no Twilio number
        "21660": Outcome.RETRYABLE,  # the sender is another account's
        "30001": Outcome.THROTTLED,  # queue overflow
        "63038": Outcome.THROTTLED,  # the account's messages for today are used up
        "401": Outcome.VENDOR_DOWN,
        "403": Outcome.VENDOR_DOWN,
        "404": Outcome.VENDOR_DOWN,  # 20404: no such account, or not Twilio
        "408": Outcome.RETRYABLE,  # RFC 9110, 15.5.9: the request did not arrive whole
        "429": Outcome.THROTTLED,
        "4xx": Outcome.REJECTED,  # 21211 invalid number, 21610 opted out, 21614 no mobile, 21617 too long, ...
        "500": Outcome.RETRYABLE,
        "503": Outcome.RETRYABLE,
        "5xx": Outcome.IN_DOUBT,  # 502, 504: a gateway gave up on a server that may have queued it
        "3xx": Outcome.VENDOR_DOWN,  # not Twilio: the URL is wrong
    }

    # The same dictionary. Not 30005 and 30006: they are also said of telephones that are switched off.
    suppressions: ClassVar[Suppressions] = {
        "21211": Reason.HARD_BOUNCE,  # no telephone number
        "21610": Reason.UNSUBSCRIBE,  # the person answered STOP
        "21614": Reason.HARD_BOUNCE,  # no mobile number
    }

    def __init__(self) -> None:
        self._settings = settings = TwilioSettings.load()
        if not settings.sender and not settings.messaging_service_sid:
            raise SettingsError("CLARION_TWILIO_FROM: this or CLARION_TWILIO_MESSAGING_SERVICE_SID is required")
        token = settings.auth_token.get_secret_value()
        self._validator = RequestValidator(token)
        self._http = Http()
        self._account = f"{settings.url}/2010-04-01/Accounts/{settings.account_sid}"
        self._url = URL(f"{self._account}/Messages.json")
        self._headers = {"Authorization": encode_basic_auth(settings.account_sid, token)}

    async def send(self, messages: Sequence[Message], timeout: float) -> Sequence[Answer]:
        """One Messages call. The callback URL carries our key: a report finds its send even if the answer is lost."""
        (message,) = messages
        headers = {"Content-Type": "application/x-www-form-urlencoded", **self._headers, **message.headers}
        reply = await self._http.call("POST", self._url, headers, timeout, urlencode(self._form(message)).encode())
        return [_answer(reply) if isinstance(reply, Reply) else reply]

    async def look_up(self, sends: Sequence[Sent], timeout: float) -> Sequence[Sequence[str] | None]:
        """Lists the messages to each number. None of them carries our key: text, sender and time have to agree."""
        slots, began = asyncio.Semaphore(_AT_ONCE), time.monotonic()

        async def ask(sent: Sent) -> Sequence[str] | None:
            async with slots:
                url = self._url.with_query({"To": sent.address, "PageSize": PAGE})
                left = timeout - (time.monotonic() - began)
                reply = await self._http.call("GET", url, self._headers, left) if left > 0 else None
                if not isinstance(reply, Reply) or reply.status != 200:
                    return None
                age = sent.age + time.monotonic() - began
                return matching(reply, self._identity(sent.address, sent.content, sent.sender), sent.quiet, age)

        return await asyncio.gather(*(ask(sent) for sent in sends))

    async def receipts(self, call: Call) -> Sequence[Receipt]:
        """The signature is an HMAC over the public URL and the form (Twilio, "webhooks security")."""
        form = self._verified(call)
        status = form.get("MessageStatus", "")
        key = send_key(parse_qs(urlsplit(call.url).query).get("key", [""])[0])
        if status not in _REPORTS or key is None:
            return []
        return [_receipt(form, status, key)]

    async def check(self) -> str:
        """Reads our own account."""
        reply = await self._http.call("GET", URL(f"{self._account}.json"), self._headers, timeout=10)
        account = require_ok(reply, "CLARION_TWILIO_AUTH_TOKEN", self._settings.url).json()
        if account.get("status") != "active":
            raise SettingsError("CLARION_TWILIO_ACCOUNT_SID: this account is not active")
        return f"Twilio at {self._settings.url} knows our account, and it is active"

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _form(self, message: Message) -> dict[str, str]:
        identity = self._identity(message.address, message.content, message.sender)
        return {**identity, "StatusCallback": f"{message.callback}/twilio?key={message.key}"}

    def _identity(self, address: str, content: Content, sender: Sender) -> dict[str, str]:
        """What Twilio shows of a message afterwards."""
        form = {"To": address, "Body": content.text}
        if sender.phone or not self._settings.messaging_service_sid:
            return {**form, "From": sender.phone or self._settings.sender or ""}
        return {**form, "MessagingServiceSid": self._settings.messaging_service_sid}

    def _verified(self, call: Call) -> MultiDict[str]:
        signature = call.headers.get("x-twilio-signature", "").encode()
        try:
            form = MultiDict(parse_qsl(call.body.decode(), keep_blank_values=True, max_num_fields=_FORM_FIELDS))
            signed = (self._validator.compute_signature(url, form).encode() for url in _spelt(call.url))
            good = any(hmac.compare_digest(each, signature) for each in signed)
        except ValueError:
            raise Forged("the call cannot be read as Twilio's") from None
        if not good:
            raise Forged("the signature does not hold")
        return form


def _spelt(url: str) -> Iterator[str]:
    """As it was called, then with its port and without: Twilio signs now one, now the other, and its validators try."""
    yield url
    parts = urlsplit(url)
    yield add_port(parts)
    yield remove_port(parts)


def _answer(reply: Reply) -> Answer:
    body = reply.json()
    if reply.status == 201:
        sid = body.get("sid")
        # The key is in the callback's URL: an answer without an id can still be matched.
        return accepted(sid if isinstance(sid, str) else None)
    number = body.get("code")
    own = str(number) if isinstance(number, int) else None
    return refused(Twilio.errors, reply.status, own, retry_after(reply.headers), Twilio.suppressions)


def _receipt(form: Mapping[str, str], status: str, key: SendKey) -> Receipt:
    sid = identifier(form.get("MessageSid"), "MessageSid")
    return Receipt(
        provider=Twilio.card.name,
        event_id=identifier(f"{sid}:{status}", "MessageSid"),
        report=_REPORTS[status],
        occurred_at=datetime.now(UTC),  # a status callback carries no time
        key=key,
        message_id=sid,
        reason=None if status == "delivered" else code(status, form.get("ErrorCode")),
        suppress=None if status == "delivered" else Twilio.suppressions.get(form.get("ErrorCode", "")),
    )

"""Firebase Cloud Messaging v1: one message for each device. It reports nothing back."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict
from yarl import URL

from domain.messages import Card, Message
from domain.outcomes import Answer, Outcome, accepted, in_doubt
from domain.priorities import Priority
from domain.suppressions import Reason
from providers.base import Provider
from providers.errors import ErrorMap, Suppressions, refused, retry_after
from providers.http import BaseUrl, Http, Reply
from providers.push.google import GoogleToken, service_account
from providers.reading import code
from settings import Section, SettingsError

_KEY = "clarion_key"


class FcmSettings(Section):
    """Where FCM is, and the service account of our Firebase project."""

    model_config = SettingsConfigDict(env_prefix="CLARION_FCM_")

    url: BaseUrl = "https://fcm.googleapis.com"
    credentials: SecretStr


class Fcm(Provider):
    """Push by Firebase Cloud Messaging."""

    card = Card("fcm", "push", receipts=False, echoes_key=False)
    settings: ClassVar = (FcmSettings,)

    # "FCM error codes" of the HTTP v1 API.
    errors: ClassVar[ErrorMap] = {
        "INVALID_ARGUMENT": Outcome.REJECTED,  # 400: no token of FCM's, or the payload is too big
        "QUOTA_EXCEEDED": Outcome.THROTTLED,  # 429
        "SENDER_ID_MISMATCH": Outcome.REJECTED,  # 403: the token belongs to another project
        "THIRD_PARTY_AUTH_ERROR": Outcome.VENDOR_DOWN,  # 401: our APNs or web push key is wrong
        "UNREGISTERED": Outcome.REJECTED,  # 404: the app was removed from the device
        "401": Outcome.VENDOR_DOWN,
        "403": Outcome.VENDOR_DOWN,
        "404": Outcome.VENDOR_DOWN,  # no such project, or not FCM
        "408": Outcome.RETRYABLE,  # RFC 9110, 15.5.9: the request did not arrive whole
        "429": Outcome.THROTTLED,
        "4xx": Outcome.REJECTED,
        "500": Outcome.RETRYABLE,  # INTERNAL: their advice is to retry
        "503": Outcome.RETRYABLE,  # UNAVAILABLE: overloaded
        "5xx": Outcome.IN_DOUBT,  # 502, 504: a gateway gave up on a server that may have taken it
        "3xx": Outcome.VENDOR_DOWN,  # not FCM: the URL is wrong
    }

    suppressions: ClassVar[Suppressions] = {"UNREGISTERED": Reason.HARD_BOUNCE}

    def __init__(self) -> None:
        settings = FcmSettings.load()
        account = service_account(settings.credentials.get_secret_value(), "CLARION_FCM_CREDENTIALS")
        self._http = Http()
        self._token = GoogleToken(account, self._http)
        self._url = URL(f"{settings.url}/v1/projects/{account['project_id']}/messages:send")

    async def send(self, messages: Sequence[Message], timeout: float) -> Sequence[Answer]:
        """One messages:send. Time spent on an access token counts."""
        (message,) = messages
        reply = await self._post({"message": _push(message)}, timeout, message.headers)
        return [_answer(reply) if isinstance(reply, Reply) else reply]

    async def check(self) -> str:
        """Gets an access token and has a message to nobody validated: only its token may be wrong."""
        nobody = {"validate_only": True, "message": {"token": "nobody", "notification": {"title": "check"}}}
        reply = await self._post(nobody, 10, {})
        answer = _answer(reply) if isinstance(reply, Reply) else reply
        if answer.outcome not in {Outcome.ACCEPTED, Outcome.REJECTED}:
            raise SettingsError(f"CLARION_FCM_CREDENTIALS: asked whether they are right, FCM answers: {answer.reason}")
        return "FCM knows our service account"

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _post(self, body: Mapping[str, Any], timeout: float, headers: Mapping[str, str]) -> Reply | Answer:
        token = await self._token.get(timeout)
        if isinstance(token, Answer):
            return token
        own = {"Content-Type": "application/json", "Authorization": f"Bearer {token.text}"}
        reply = await self._http.call("POST", self._url, {**own, **headers}, token.left, orjson.dumps(body))
        if isinstance(reply, Reply) and reply.status == 401:
            self._token.forget(token.text)
        return reply


def _push(message: Message) -> Mapping[str, Any]:
    content = message.content
    notification = {"title": content.title or content.subject, "body": content.text}
    high = message.priority is Priority.HIGH
    return {
        "token": message.address,
        "notification": {name: text for name, text in notification.items() if text},
        "data": {**{name: _text(value) for name, value in content.data.items()}, _KEY: str(message.key)},
        "android": {"priority": "HIGH" if high else "NORMAL"},
    }


def _text(value: Any) -> str:
    """FCM takes strings only: others go as their JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _answer(reply: Reply) -> Answer:
    body = reply.json()
    if reply.status == 200:
        name = body.get("name")  # `projects/{p}/messages/{id}`
        return accepted(name) if isinstance(name, str) else in_doubt("unreadable")
    return refused(Fcm.errors, reply.status, _code(body.get("error")), retry_after(reply.headers), Fcm.suppressions)


def _code(error: Any) -> str | None:
    """FCM's own code is in a detail; the error's `status` is the general one of all Google services."""
    if not isinstance(error, dict):
        return None
    details = error.get("details")
    codes = [detail.get("errorCode") for detail in details if isinstance(detail, dict)] if details else []
    return code(next((each for each in codes if each), error.get("status"))) or None

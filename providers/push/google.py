"""Access tokens for Google services: a service account signs a grant, Google answers with a token for an hour."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic, time
from typing import Any
from urllib.parse import urlencode

import orjson
from google.auth import jwt
from google.auth.crypt import RSASigner
from yarl import URL

from domain.outcomes import Answer, vendor_down
from providers.http import Http, Reply
from settings import SettingsError

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"  # RFC 7523
MARGIN = 60  # seconds before its end in which a token is no longer used
_NEEDED = ("project_id", "client_email", "private_key", "token_uri")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, and the seconds left of the time allowed to get and to use it."""

    text: str
    left: float


def service_account(text: str, variable: str) -> Mapping[str, Any]:
    """The service account's JSON. Raises SettingsError, naming the variable."""
    try:
        account = orjson.loads(text)
    except orjson.JSONDecodeError:
        account = None
    if not isinstance(account, dict) or not all(isinstance(account.get(name), str) for name in _NEEDED):
        raise SettingsError(f"{variable}: not the JSON of a service account; it has {', '.join(_NEEDED)}")
    return account


class GoogleToken:
    """The current token of one service account; many may ask, one fetches."""

    def __init__(self, account: Mapping[str, Any], http: Http) -> None:
        try:
            self._signer = RSASigner.from_service_account_info(account)
            self._url = URL(account["token_uri"])
        except ValueError:
            raise SettingsError("CLARION_FCM_CREDENTIALS: its private_key or token_uri cannot be read") from None
        self._email = account["client_email"]
        self._http = http
        self._fetching = asyncio.Lock()
        self._text = ""
        self._until = 0.0

    async def get(self, timeout: float) -> Token | Answer:
        """A token good for another minute, within `timeout` seconds; else the Answer: nothing left for the service."""
        end = monotonic() + timeout
        try:
            async with asyncio.timeout(timeout):
                problem = None if self._fresh() else await self._fetch_once(timeout)
        except TimeoutError:
            return vendor_down("token timeout")
        return problem or Token(self._text, end - monotonic())

    def forget(self, text: str) -> None:
        """This one was refused: get another next time."""
        if self._text == text:
            self._until = 0.0

    def _fresh(self) -> bool:
        return monotonic() < self._until

    async def _fetch_once(self, timeout: float) -> Answer | None:
        async with self._fetching:
            return None if self._fresh() else await self._fetch(timeout)

    async def _fetch(self, timeout: float) -> Answer | None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({"grant_type": GRANT, "assertion": self._assertion()}).encode()
        reply = await self._http.call("POST", self._url, headers, timeout, body)
        if not isinstance(reply, Reply):
            return vendor_down(f"token {reply.reason}")
        grant = reply.json()
        text, lifetime = grant.get("access_token"), grant.get("expires_in")
        if reply.status != 200 or not isinstance(text, str) or not isinstance(lifetime, int | float):
            return vendor_down(f"token {reply.status}")
        self._text, self._until = text, monotonic() + lifetime - MARGIN
        return None

    def _assertion(self) -> str:
        now = int(time())
        grant = {"iss": self._email, "scope": SCOPE, "aud": str(self._url), "iat": now, "exp": now + 3600}
        return jwt.encode(self._signer, grant).decode()

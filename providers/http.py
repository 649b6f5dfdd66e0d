"""HTTP to vendors: one session per provider, and what each way of failing says about whether the request left us."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import aiohttp
import orjson
from pydantic import AfterValidator, AnyHttpUrl, TypeAdapter
from yarl import URL

from domain.outcomes import Answer, in_doubt, vendor_down
from providers.guard import PublicOnly
from settings import SettingsError

CONNECTIONS = 256  # per provider and process: more in flight make no vendor faster, and a queue there knows no turns
KEEP_ALIVE = 4  # seconds; less than a server's own (uvicorn 5, nginx 75): we rarely write into a closing connection
CONNECT_SHARE = 0.6  # of the time allowed: a time-out after it is one after the request left


def _http_url(text: str) -> str:
    TypeAdapter(AnyHttpUrl).validate_python(text)
    return text.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_http_url)]
"""A setting that holds where a vendor is; kept without a slash at its end."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The JSON object in the body; an empty one for anything else."""
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return value if isinstance(value, dict) else {}


class Http:
    """A keep-alive pool for one vendor. Made anywhere; opened by its first call, in the loop that runs then."""

    def __init__(self, guard: PublicOnly | None = None) -> None:
        """`guard`: for URLs that came from outside."""
        self._guard = guard
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self, method: str, url: URL, headers: Mapping[str, str], timeout: float, body: bytes | None = None
    ) -> Reply | Answer:
        """One request and its whole reply within `timeout` seconds; an Answer where there was none to read.

        Refused, not found, no TLS, not connected in time: nothing left us, so the vendor is down. Anything later,
        also a reply that breaks off, is a doubt. Redirects are replies; nothing is ever repeated.
        """
        if self._guard and not self._guard.permits(url.host or ""):
            return vendor_down("not_public")
        session = self._session or self._open()
        try:
            async with session.request(
                method, url, data=body, headers=headers, timeout=_limits(timeout), allow_redirects=False
            ) as response:
                return Reply(response.status, response.headers, await response.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return vendor_down(_name(error))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return in_doubt(_name(error))

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS, keepalive_timeout=KEEP_ALIVE, ttl_dns_cache=30, resolver=self._guard
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding"),
            headers={"User-Agent": "clarion"},
        )
        return self._session


@lru_cache(maxsize=64)
def _limits(timeout: float) -> aiohttp.ClientTimeout:
    # aiohttp rounds long time-outs up to whole seconds unless the threshold says never.
    return aiohttp.ClientTimeout(total=timeout, connect=timeout * CONNECT_SHARE, ceil_threshold=math.inf)


def _name(error: BaseException) -> str:
    """`ServerDisconnectedError` -> `server_disconnected`: what happened, without the address that the text quotes."""
    name = type(error).__name__.removesuffix("Error").removeprefix("Client")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).strip("_")


def require_ok(reply: Reply | Answer, variable: str, url: str) -> Reply:
    """The reply to a credential check. Raises SettingsError, naming the setting to look at, for anything but a 2xx."""
    if isinstance(reply, Reply) and 200 <= reply.status < 300:
        return reply
    said = f"HTTP {reply.status}" if isinstance(reply, Reply) else reply.reason
    raise SettingsError(f"{variable}: asked whether it is right, {url} answers: {said}")

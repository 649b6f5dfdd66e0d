"""The API as commands call it: JSON in and out over one kept connection, every refusal one clear line.

The standard library's client on purpose: another one would double the time a command takes to start.
"""

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

from cli import here
from cli.errors import FAILED, WRONG, Failure, Refused, Unreachable

_TIMEOUT = 30.0  # seconds
_PAGE = 100  # the API's most

_WAYS_OUT = {
    "unauthenticated": "Set CLARION_API_KEY; `clarion keys create TENANT --role admin` makes a key.",
    "forbidden": "Set CLARION_API_KEY to a key that may.",
    "unavailable": "Try again in a moment; `clarion doctor` says what is away.",
    "overloaded": "Try again in a moment.",
    "in_progress": "Try again in a moment.",
}
_WRONG_ASKED = frozenset({400, 401, 403, 413, 415, 422})  # statuses that blame the command line or a setting


class Api:
    """One API. A context manager: it closes the connection."""

    def __init__(self, url: str, key: str | None) -> None:
        """Raises Failure for what is no URL."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Failure(f"{url!r} is no URL of an API: it looks like {here.DEFAULT_URL}.", exit_code=WRONG)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        try:
            self._connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT)
        except ValueError:
            raise Failure(f"{url!r} has no port an API could have.", exit_code=WRONG) from None
        self.url, self._base = url, parts.path.rstrip("/")
        self._headers = {"Accept": "application/json", "User-Agent": "clarion"}
        if key:
            if not (key.isascii() and key.isprintable()):
                raise Failure("CLARION_API_KEY is no API key: those are `clr_…` and plain ASCII.", exit_code=WRONG)
            self._headers["Authorization"] = f"Bearer {key}"

    @classmethod
    def found(cls, url: str | None) -> Self:
        """The API this machine's settings lead to. Raises Failure."""
        return cls(here.api_url(url), here.api_key())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, path: str, **query: object) -> Any:
        """What is there. Parameters that are None are left out, lists are repeated. Raises Failure."""
        wanted = {name: value for name, value in query.items() if value is not None}
        return self.call("GET", path + (f"?{urlencode(wanted, doseq=True)}" if wanted else ""))

    def pages(self, path: str, limit: int, **query: object) -> Iterator[dict[str, Any]]:
        """Pages of a list until there are `limit` items; a page may be short, even empty. Raises Failure."""
        cursor: str | None = query.pop("cursor", None)  # pyright: ignore[reportAssignmentType]
        while limit > 0:
            page = self.get(path, limit=min(limit, _PAGE), cursor=cursor, **query)
            yield page
            limit -= len(page["data"])
            cursor = page["page"]["next"]
            if cursor is None:
                return

    def call(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
        """One request: the answer's JSON, None for none. Raises Unreachable, Refused."""
        status, content = self._exchange(method, path, body, headers or {})
        try:
            answer = json.loads(content) if content else None
        except ValueError:
            answer = None
            if status < 300:
                raise self._stranger(status) from None
        if status < 300 or (path == "/readyz" and answer):
            return answer
        raise self._refused(status, answer)

    def _exchange(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> tuple[int, bytes]:
        data = json.dumps(body).encode() if body is not None else None
        kind = {"Content-Type": "application/json"} if data is not None else {}
        kept = self._connection.sock is not None
        if kept and method != "GET":
            # The server may be closing a kept connection at this moment, and only reads can be repeated safely.
            self._connection.close()
        try:
            try:
                return self._once(method, path, data, {**self._headers, **kind, **headers})
            except (http.client.HTTPException, OSError):
                if not kept or method != "GET":
                    raise
                return self._once(method, path, data, {**self._headers, **kind, **headers})
        except (http.client.HTTPException, OSError) as error:
            raise self._unreachable(error, method) from None

    def _once(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        try:
            self._connection.request(method, self._base + path, body=data, headers=dict(headers))
            response = self._connection.getresponse()
            return response.status, response.read()
        except BaseException:
            self._connection.close()
            raise

    def _unreachable(self, error: Exception, method: str) -> Unreachable:
        if isinstance(error, ConnectionRefusedError):
            return Unreachable(
                f"Nothing answers at {self.url}: "
                "start it with `clarion dev`, or say where it is with --url or CLARION_URL."
            )
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        doubt = "" if method == "GET" else " It may have been done all the same: look before you repeat it."
        return Unreachable(f"No answer from {self.url}: {why}.{doubt}")

    def _stranger(self, status: int) -> Failure:
        return Failure(f"{self.url} answers {status} in a way Clarion's API does not: is --url or CLARION_URL right?")

    def _refused(self, status: int, answer: Any) -> Failure:
        if not isinstance(answer, dict) or "code" not in answer:
            return self._stranger(status)
        faults = "; ".join(f"{fault['pointer'] or 'body'}: {fault['detail']}" for fault in answer.get("errors", ()))
        code = answer["code"]
        request = f"Its request id is {answer.get('request_id')}." if status == 500 else ""
        told = " ".join(filter(None, (faults or answer["detail"], _WAYS_OUT.get(code, request))))
        return Refused(f"{answer['title']}. {told}", code, exit_code=WRONG if status in _WRONG_ASKED else FAILED)


def segment(text: str) -> str:
    """Any text as one segment of a path."""
    return quote(text, safe="")

"""One HTTP call and its answer, on raw ASGI: the sandbox shares its machine with what it is a peer for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson

Headers = tuple[tuple[bytes, bytes], ...]

JSON: Headers = ((b"content-type", b"application/json"),)


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it came in. `path` is below the vendor's prefix, `raw_path` is the whole one as it was sent."""

    method: str
    path: str
    raw_path: bytes
    query: bytes
    headers: Mapping[bytes, bytes]  # names in lower case
    body: bytes

    def header(self, name: bytes) -> str | None:
        """The value of one header, by its name in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def base(self) -> str:
        """Where the caller found us, e.g. `http://127.0.0.1:8025`: what our own links must start with."""
        return f"http://{self.header(b'host') or '127.0.0.1'}"

    def parameters(self) -> dict[str, str]:
        """The query's parameters; of a repeated one the last."""
        return dict(parse_qsl(self.query.decode("latin-1"), keep_blank_values=True))

    def form(self) -> dict[str, str]:
        """The fields of a form-encoded body; of a repeated one the last."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> Any:
        """The body's content. Raises ValueError when it is not JSON."""
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a call."""

    status: int
    body: bytes = b""
    headers: Headers = JSON


def reply(status: int, content: Any, headers: Headers = JSON) -> Reply:
    """An answer with a JSON body."""
    return Reply(status, orjson.dumps(content), headers)


def problem(status: int, title: str, detail: str, errors: list[dict[str, str]] | None = None) -> Reply:
    """An error of the sandbox's own endpoints (RFC 9457)."""
    content: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if errors is not None:
        content["errors"] = errors
    return reply(status, content, ((b"content-type", b"application/problem+json"),))

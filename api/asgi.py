"""Raw ASGI for the hot paths: bodies with a limit, headers, answers. A framework would cost more than the work."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import orjson

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyTooLarge(Exception):
    """More bytes than the limit, by the header or as they came."""


class ClientGone(Exception):
    """The caller hung up before its body was complete."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, complete."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content_type: str = "application/json"


def json_reply(status: int, content: object, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer in JSON."""
    return Reply(status, orjson.dumps(content), headers or {})


def headers_of(scope: Scope) -> dict[str, str]:
    """Header values by lower-case name; of a repeated one the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def body_of(headers: Mapping[str, str], receive: Receive, most: int) -> bytes:
    """The whole body. Raises BodyTooLarge, as early as the header allows, and ClientGone."""
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length) > most:
        raise BodyTooLarge
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise BodyTooLarge
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


async def answer(send: Send, reply: Reply, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Send it. `more`: headers that are encoded already."""
    headers = [(b"content-type", reply.content_type.encode()), *more]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})

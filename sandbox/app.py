"""The sandbox as an ASGI application: vendors below their names, and its own pages."""

from typing import Any

from sandbox.frontdesk import FrontDesk
from sandbox.vendors.base import HttpVendor, Turn
from sandbox.web import Call, Reply, problem

_BODY_LIMIT = 32 * 1024 * 1024  # bytes; SendGrid's own is 30 MB


class App:
    """Raw ASGI: nothing between the server and the vendors."""

    def __init__(self, vendors: dict[str, HttpVendor], front_desk: FrontDesk) -> None:
        self._vendors = vendors
        self._front_desk = front_desk
        self._unanswered: set[Any] = set()  # connections of calls that hang

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one HTTP call."""
        path: str = scope["path"]
        body = await _body(receive)
        if body is None:
            await _answer(send, problem(413, "Payload Too Large", f"at most {_BODY_LIMIT} bytes"), "POST")
            return
        prefix, slash, rest = path[1:].partition("/")
        call = Call(
            scope["method"], slash + rest, scope["raw_path"], scope["query_string"], dict(scope["headers"]), body
        )
        vendor = self._vendors.get(prefix)
        turn = await vendor.turn(call) if vendor else Turn(await self._front_desk.answer(path, call))
        if turn.answer is None:
            if turn.after:
                turn.after()
            await self._hang(scope["sandbox.transport"], receive)
            return
        if turn.cut:
            await _cut(scope["sandbox.transport"], receive, turn.answer)
        else:
            await _answer(send, turn.answer, call.method)
        if turn.after:
            turn.after()

    def hang_up(self) -> None:
        """Close the connections of calls that are never answered, so that the server can stop."""
        for transport in self._unanswered:
            transport.close()

    async def _hang(self, transport: Any, receive: Any) -> None:
        self._unanswered.add(transport)
        try:
            await _gone(receive)
        finally:
            self._unanswered.discard(transport)


async def _body(receive: Any) -> bytes | None:
    """The whole body; None if it is too long."""
    message = await receive()
    if not message.get("more_body"):
        return message.get("body", b"")
    parts = [message["body"]]
    size = len(parts[0])
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > _BODY_LIMIT:
            return None
    return b"".join(parts)


async def _answer(send: Any, reply: Reply, method: str) -> None:
    headers = [(b"content-length", str(len(reply.body)).encode()), *reply.headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else reply.body})


async def _cut(transport: Any, receive: Any, reply: Reply) -> None:
    """Close the connection in the middle of the status line: whoever reads it knows nothing for sure."""
    transport.write(f"HTTP/1.1 {reply.status}"[:-1].encode())
    transport.close()
    await _gone(receive)


async def _gone(receive: Any) -> None:
    """Wait until the caller hangs up."""
    while (await receive())["type"] != "http.disconnect":
        pass

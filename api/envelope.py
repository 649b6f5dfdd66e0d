"""Around every answer of FastAPI: request id, secure headers, a limit on bodies, a problem for whatever goes wrong."""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException

from api.asgi import App, Receive, Scope, Send, answer, headers_of
from api.problems import Problem, response
from api.requests import MOST_BODY
from api.secure import DOCS, Headers
from domain.ids import new_id
from observe import logs

log = logs.get(__name__)

_SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")


def request_id(headers: Mapping[str, str]) -> str:
    """The caller's `X-Request-Id` if it is a short, plain one; else a new one. `headers` by lower-case name."""
    given = headers.get("x-request-id", "")
    return given if _SANE.match(given) else str(new_id())


def request_id_of(scope: Scope) -> str:
    """The id of the request in this scope, made once."""
    state: MutableMapping[str, Any] = scope.setdefault("state", {})
    if "request_id" not in state:
        state["request_id"] = request_id(headers_of(scope))
    return state["request_id"]


class Envelope:
    """Pure ASGI middleware."""

    def __init__(self, app: App, secure: Headers, docs: Headers) -> None:
        """`secure`: headers for every answer; `docs`: for the page at DOCS instead."""
        self._app, self._secure, self._docs = app, secure, docs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = request_id_of(scope)
        secure = self._docs if scope["path"] == DOCS else self._secure
        started = False

        async def marked(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                others = [pair for pair in message.get("headers", []) if pair[0] != b"x-request-id"]
                message["headers"] = [*others, (b"x-request-id", identity.encode()), *secure]
            await send(message)

        with logs.bound(request_id=identity):
            try:
                await self._app(scope, _limited(receive), marked)
            except Exception:
                log.exception("api.fault", path=scope["path"])
                if started:
                    raise
                await answer(marked, response(Problem("internal"), identity, scope["path"]))


def _limited(receive: Receive) -> Receive:
    """A receive that refuses more than MOST_BODY bytes."""
    size = 0

    async def limited() -> MutableMapping[str, Any]:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MOST_BODY:
            raise HTTPException(413)
        return message

    return limited

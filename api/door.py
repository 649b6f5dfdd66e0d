"""The dispatcher in front of FastAPI: the paths that carry the load are answered without a framework."""

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from api import secure
from api.asgi import App, ClientGone, Receive, Reply, Scope, Send, answer, body_of, headers_of, json_reply
from api.auth import MAY_READ, MAY_SEND, Auth
from api.envelope import request_id as request_id_of
from api.notify import Notify
from api.parts import Parts
from api.problems import Problem, response
from api.reading import Reading
from api.refusals import REFUSALS, problem_of
from api.requests import MOST_BODY
from api.room import Room
from api.slicing import Slicing
from api.webhook import Webhook
from observe import logs, metrics
from providers.base import Call

log = logs.get(__name__)

_OF_STATUS = re.compile("/status/[^/]+")
_BEGIN = (
    64  # notifications in one turn of the event loop, 15 ms of it; with 8 groups were small and costs a sixth higher
)
_ROOM = 64 * MOST_BODY  # as text; parsed and in a lane each byte becomes a few


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a hot path, before its body is read."""

    path: str
    query: str
    headers: dict[str, str]
    client: str
    url: str
    receive: Receive

    async def body(self) -> bytes:
        """Raises BodyTooLarge, ClientGone, Full."""
        return await body_of(self.headers, self.receive, MOST_BODY)


class Door:
    """An ASGI application: hot paths here, all else to `app`."""

    def __init__(self, app: App, parts: Parts, notify: Notify, webhook: Webhook) -> None:
        self._app, self._notify, self._webhook = app, notify, webhook
        self._reading = Reading(parts)
        self._auth: Auth = parts.auth
        self._public = parts.settings.reachable_at
        self._secure = secure.headers_of(parts.settings)
        self._room = Room(_ROOM)
        self._slicing = Slicing(_BEGIN)
        self._hot: dict[str, Callable[[Request], Awaitable[Reply]]] = {
            "/notify": self._one,
            "/notify/batch": self._many,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        handler = self._handler(scope)
        if handler is None:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = headers_of(scope)
        request_id = request_id_of(headers)
        query = scope["query_string"].decode("latin-1")
        url = f"{self._public}{scope['path']}{'?' + query if query else ''}"
        client = (scope.get("client") or ("", 0))[0]
        try:
            with self._room.shared(receive) as counted:
                request = Request(scope["path"], query, headers, client, url, counted)
                reply = await _safely(handler, request, request_id)
        except ClientGone:
            return
        if handler == self._one:
            metrics.observe(metrics.ACCEPT, str(reply.status), seconds=time.perf_counter() - started)
        await answer(send, replace(reply, headers={"X-Request-Id": request_id, **reply.headers}), self._secure)

    def _handler(self, scope: Scope) -> Callable[[Request], Awaitable[Reply]] | None:
        if scope["type"] != "http":
            return None
        path: str = scope["path"]
        match scope["method"]:
            case "POST":
                return self._report if path.startswith("/webhook/") else self._hot.get(path)
            case "GET":
                return self._status if _OF_STATUS.fullmatch(path) else None
            case _:
                return None

    async def _one(self, request: Request) -> Reply:
        await self._slicing.begin()
        tenant = await self._sender(request)
        self._notify.look(tenant, request.headers)
        return await self._notify.one(tenant, request.headers, await request.body())

    async def _many(self, request: Request) -> Reply:
        tenant = await self._sender(request)
        return await self._notify.many(tenant, request.headers, await request.body())

    async def _report(self, request: Request) -> Reply:
        """The signature is the caller's key."""
        call = Call(request.url, request.headers, await request.body())
        await self._webhook.take(request.path.removeprefix("/webhook/"), call)
        return json_reply(200, {"status": "ok"})

    async def _status(self, request: Request) -> Reply:
        tenant = await self._auth.tenant(request.headers, request.client, MAY_READ)
        return await self._reading.status(tenant, request.path.removeprefix("/status/"), request.query)

    async def _sender(self, request: Request) -> str:
        content_type = request.headers.get("content-type", "application/json")
        if "json" not in content_type:
            raise Problem("unsupported_media_type", "Send JSON: Content-Type application/json.")
        return await self._auth.tenant(request.headers, request.client, MAY_SEND)


async def _safely(handler: Callable[[Request], Awaitable[Reply]], request: Request, request_id: str) -> Reply:
    """Whatever happens is an answer. Raises only ClientGone."""
    try:
        return await handler(request)
    except ClientGone:
        raise
    except REFUSALS as error:
        found = problem_of(error)
    except Exception as error:
        log.exception("door.fault", path=request.path, error=type(error).__name__, request_id=request_id)
        found = Problem("internal")
    return response(found, request_id, request.path)

"""The sandbox's own endpoints: settings of the vendors, the log, the page, health."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sandbox.control import GlobalControl
from sandbox.desk import Desk
from sandbox.logbook import Logbook
from sandbox.page import inbox
from sandbox.shared import Shared
from sandbox.vendors.base import Vendor
from sandbox.web import Call, Reply, problem, reply

M = TypeVar("M", bound=BaseModel)


class FrontDesk:
    """Answers whatever is not a vendor's."""

    def __init__(self, shared: Shared, vendors: Mapping[str, Vendor[Any]]) -> None:
        self._shared = shared
        self._vendors = vendors
        self._log = Logbook(shared, list(vendors))
        self._inbox = inbox()
        self._routes: dict[tuple[str, str], Callable[[Call], Reply]] = {
            ("GET", "/"): lambda _: self._inbox,
            ("GET", "/health"): lambda _: reply(200, {"status": "ok"}),
            ("GET", "/control"): lambda _: reply(200, self._settings()),
            ("PUT", "/control"): self._set_global,
            ("DELETE", "/control"): lambda _: self._reset(*self._vendors),
            ("GET", "/log/counts"): lambda _: reply(200, self._log.counts()),
            ("GET", "/log/newest"): self._log.newest,
            ("DELETE", "/log"): lambda _: self._log.empty(),
        }

    async def answer(self, path: str, call: Call) -> Reply:
        """Answer one call."""
        if (call.method, path) == ("GET", "/log"):
            return await self._log.page(call)
        route = self._routes.get((call.method, path))
        if route is not None:
            return route(call)
        if path.startswith("/control/"):
            return self._control(path.removeprefix("/control/"), call)
        return problem(404, "Not Found", f"{call.method} {path} is nothing here")

    def _control(self, name: str, call: Call) -> Reply:
        vendor = self._vendors.get(name)
        if vendor is None:
            return problem(404, "Not Found", f"the vendors are {', '.join(self._vendors)}")
        if call.method == "PUT":
            control = _parsed(vendor.control_type, call.body)
            if isinstance(control, Reply):
                return control
            vendor.desk = Desk(control)
        elif call.method == "DELETE":
            return self._reset(name)
        elif call.method != "GET":
            return problem(405, "Method Not Allowed", "GET, PUT or DELETE")
        return reply(200, vendor.desk.control.model_dump())

    def _set_global(self, call: Call) -> Reply:
        control = _parsed(GlobalControl, call.body)
        if isinstance(control, Reply):
            return control
        self._shared.callback_url = control.callback_url.rstrip("/")
        return reply(200, self._settings())

    def _reset(self, *names: str) -> Reply:
        for name in names:
            vendor = self._vendors[name]
            vendor.desk = Desk(vendor.control_type())
        return Reply(204)

    def _settings(self) -> dict[str, Any]:
        vendors = {name: vendor.desk.control.model_dump() for name, vendor in self._vendors.items()}
        return {"callback_url": self._shared.callback_url, "vendors": vendors}


def _parsed(model: type[M], body: bytes) -> M | Reply:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        errors = [
            {"pointer": "".join(f"/{part}" for part in one["loc"]), "detail": one["msg"]} for one in error.errors()
        ]
        return problem(422, "Unprocessable Content", errors[0]["detail"], errors)

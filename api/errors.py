"""What FastAPI's handlers raise, as problems."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from api.envelope import request_id_of
from api.problems import Problem, invalid, of_status, response
from api.raw_routes import RAW_ROUTES
from api.refusals import Refusal, problem_of
from api.requests import Fault
from domain.submissions import Refused
from ledger.database import LedgerUnavailable

# The dispatcher takes these with their method; with any other they come here, where no route knows them.
_RAW = tuple((compile_path(route.path)[0], route.method) for route in RAW_ROUTES)


def add_to(app: FastAPI) -> None:
    """Register the handlers."""
    app.exception_handler(Problem)(_refused)
    app.exception_handler(Refused)(_refused)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_of_framework)
    app.exception_handler(LedgerUnavailable)(_refused)


def faults_of(error: RequestValidationError | ValidationError) -> list[Fault]:
    """What is wrong, for people."""
    return [Fault(pointer(each["loc"]), f"{each['msg'].removeprefix('Value error, ')}.") for each in error.errors()]


def as_response(problem: Problem, request: Request) -> Response:
    """The problem as Starlette sends it."""
    reply = response(problem, request_id_of(request.scope), request.url.path)
    return Response(reply.body, reply.status, reply.headers, reply.content_type)


async def _refused(request: Request, error: Refusal) -> Response:
    return as_response(problem_of(error), request)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    return as_response(invalid(*faults_of(error)), request)


async def _of_framework(request: Request, error: HTTPException) -> Response:
    if error.status_code == 404 and (raw := {method for pattern, method in _RAW if pattern.match(request.url.path)}):
        return as_response(Problem("method_not_allowed", headers={"Allow": ", ".join(sorted(raw))}), request)
    if error.status_code == 405:
        return as_response(Problem("method_not_allowed", headers={"Allow": _methods_at(request)}), request)
    if error.status_code == 400:
        unread = Fault("", "The body is not JSON in UTF-8.")
        return as_response(invalid(unread), request)
    return as_response(Problem(of_status(error.status_code), headers=error.headers), request)


def _methods_at(request: Request) -> str:
    """All methods of a path: the framework names those of the first route that matches (RFC 9110, 10.2.1)."""
    contexts = list(iter_route_contexts(request.app.routes))
    here = [context for context in contexts if compile_path(str(context.path))[0].match(request.url.path)]
    return ", ".join(sorted({method for context in here for method in context.methods or ()}))


def pointer(loc: Sequence[Any]) -> str:
    """RFC 6901 into the body; a parameter is under `/query`, `/path` or `/header`."""
    parts = [str(part).replace("~", "~0").replace("/", "~1") for part in loc]
    return "".join(f"/{part}" for part in (parts[1:] if parts[:1] == ["body"] else parts))

"""Errors as RFC 9457 problems: one table of codes, and the answer made of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from api.asgi import Reply, json_reply
from api.requests import Fault
from observe import metrics

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of problem: `GET /problems/{code}` shows it."""

    status: int
    title: str
    meaning: str


CODES: Mapping[str, Code] = MappingProxyType(
    {
        "unauthenticated": Code(401, "No valid API key", "Send `Authorization: Bearer <api key>` with a key in force."),
        "bad_signature": Code(401, "Bad signature", "The webhook's signature does not hold. Nothing was written."),
        "forbidden": Code(403, "Not allowed", "The key is in force, but its role or tenant does not cover this."),
        "tenant_suspended": Code(
            403, "Tenant suspended", "An operator has suspended this tenant: it may read, but not send or change."
        ),
        "not_found": Code(404, "Not found", "There is no such thing, or it is another tenant's."),
        "method_not_allowed": Code(405, "Method not allowed", "The path is right, the method is not: see `Allow`."),
        "in_progress": Code(
            409, "Still in progress", "A request with this Idempotency-Key is under way: repeat later."
        ),
        "not_dead": Code(
            409, "Not a dead letter any more", "The delivery was retried, discarded or delivered meanwhile."
        ),
        "tenant_exists": Code(409, "Tenant exists", "There is a tenant of this id already."),
        "too_late": Code(409, "Too late", "All deliveries were claimed or ended before."),
        "too_large": Code(413, "Body too large", "At most 1 MiB: send a large list in parts."),
        "unsupported_media_type": Code(415, "Unsupported media type", "Bodies are JSON."),
        "invalid_request": Code(422, "Invalid request", "`errors` says where and why. Nothing was taken."),
        "unknown_recipient": Code(422, "Unknown recipient", "The id is not in the address book and is no address."),
        "no_address": Code(422, "No address", "No recipient has an address for any of the channels."),
        "not_storable": Code(422, "Not storable", "The request holds a value that cannot be stored."),
        "idempotency_key_reused": Code(
            422, "Idempotency-Key reused", "The key was used with another body within 24 hours."
        ),
        "rate_limited": Code(429, "Too many requests", "A limit of the tenant is reached: repeat after `Retry-After`."),
        "internal": Code(
            500, "Internal error", "A fault of ours; it was logged under the request id. Repeating is safe."
        ),
        "overloaded": Code(503, "Overloaded", "Too much is waiting. Nothing was taken: repeat after `Retry-After`."),
        "unavailable": Code(503, "Unavailable", "A part that is needed cannot be reached: repeat after `Retry-After`."),
    }
)


_OF_STATUS = {
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    503: "unavailable",
}


def retry_after(seconds: int) -> Mapping[str, str]:
    """The header that says when to repeat the request."""
    return {"Retry-After": str(seconds)}


class Problem(Exception):
    """What a caller is told. Raises KeyError for a code that is not in the table."""

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`detail`: one sentence on this very case; else the code's meaning is told.

        `errors` point into the body; to a parameter by `/query/…`.
        """
        self.kind = CODES[code]
        super().__init__(detail or self.kind.meaning)
        self.code, self.detail, self.errors = code, detail or self.kind.meaning, errors
        self.headers: Mapping[str, str] = headers or {}

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.kind.status

    def as_item(self) -> dict[str, Any]:
        """Its members, as one item of a list has them: without `instance` and `request_id`."""
        members: dict[str, Any] = {
            "type": f"/problems/{self.code}",
            "title": self.kind.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.errors:
            members["errors"] = [{"pointer": fault.pointer, "detail": fault.detail} for fault in self.errors]
        return members


def invalid(*faults: Fault) -> Problem:
    """What is said of a request that cannot be taken: 422 with every fault found."""
    return Problem("invalid_request", "The request is not valid.", errors=faults)


def response(problem: Problem, request_id: str, instance: str | None = None) -> Reply:
    """The whole answer, counted. `instance`: the path of the request."""
    metrics.count(metrics.REFUSED, problem.code)
    members = problem.as_item() | ({"instance": instance} if instance is not None else {})
    headers = {"X-Request-Id": request_id, **problem.headers}
    reply = json_reply(problem.status, members | {"request_id": request_id}, headers)
    return Reply(reply.status, reply.body, reply.headers, CONTENT_TYPE)


def of_status(status: int) -> str:
    """The code for an HTTP status the framework chose."""
    return _OF_STATUS.get(status, "internal" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request")

"""The routes the dispatcher takes before FastAPI: who may, and what the OpenAPI document says of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, Field

from api.access import SIGNED
from api.auth import MAY_READ, MAY_SEND
from api.documented import problems
from api.requests import MOST_ITEMS, ItemIn, NotifyIn
from api.status import StatusOut, StatusQuery
from ledger.keys import Role


class AcceptedOut(BaseModel):
    """It is in the ledger."""

    id: str
    notification_id: str = Field(description="the same")
    status: Literal["accepted"]


class ItemOut(BaseModel):
    """What came of one item: 202 with its id, or a problem."""

    status: int
    id: str | None = None
    notification_id: str | None = None
    replayed: bool = False
    code: str | None = None
    title: str | None = None
    detail: str | None = None
    retry_after: int | None = Field(None, description="seconds, where repeating makes sense")


class BatchOut(BaseModel):
    """One result for each item, in order."""

    results: list[ItemOut]


class CallbackIn(BaseModel):
    """One report of a vendor, or of an app: by `delivery_id`, or by `notification_id` and `channel`."""

    model_config = {
        "json_schema_extra": {
            "example": {
                "delivery_id": "01890a5d-ac97-7b3c-8a55-2c1f0e7d9b11.0",
                "status": "delivered",
                "event_id": "evt_1",
                "occurred_at": "2026-03-01T09:00:02Z",
            }
        }
    }

    delivery_id: str | None = None
    notification_id: str | None = None
    channel: str | None = None
    status: Literal["delivered", "undelivered", "failed"]
    event_id: str
    occurred_at: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RawRoute:
    """One route. `may`: the roles, or SIGNED. `body`: the schema of what it takes, if it takes one."""

    method: str
    path: str
    operation_id: str
    summary: str
    tag: str
    may: frozenset[Role] | Literal["signed"]
    body: Mapping[str, Any] | None
    answers: Mapping[int | str, Mapping[str, Any]]
    headers: tuple[tuple[str, str], ...] = field(default=())  # of the request: name and what it is for
    query: type[BaseModel] | None = None
    example: str | None = None  # of the parameter in the path


MODELS: tuple[type[BaseModel], ...] = (NotifyIn, ItemIn, AcceptedOut, BatchOut, CallbackIn, StatusOut)


def _of(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _json(description: str, model: type[BaseModel]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _of(model)}}}


_TAKEN = {"200": {"description": "in the ledger; a repeated event changes nothing"}}
_IDEMPOTENCY = ("Idempotency-Key", "a repeat with the same key and body gets the first answer again, for 24 hours")

RAW_ROUTES = (
    RawRoute(
        "POST",
        "/notify",
        "notify",
        "Queue a notification durably",
        "notifications",
        MAY_SEND,
        _of(NotifyIn),
        {
            "202": _json("accepted: it is in the ledger", AcceptedOut),
            **problems(401, 403, 409, 413, 415, 422, 429, 503),
        },
        (_IDEMPOTENCY,),
    ),
    RawRoute(
        "POST",
        "/notify/batch",
        "notifyBatch",
        "Queue many notifications, each with its own result",
        "notifications",
        MAY_SEND,
        {"type": "array", "items": _of(ItemIn), "minItems": 1, "maxItems": MOST_ITEMS},
        {"207": _json("a result for each, in order", BatchOut), **problems(401, 403, 413, 415, 422, 429, 503)},
    ),
    RawRoute(
        "GET",
        "/status/{id}",
        "getStatus",
        "Overall and per-channel status of a notification, with its deliveries",
        "notifications",
        MAY_READ,
        None,
        {"200": _json("where it stands", StatusOut), **problems(401, 403, 404, 422, 503)},
        query=StatusQuery,
        example="01890a5d-ac96-774b-bcce-b302099a8057",
    ),
    RawRoute(
        "POST",
        "/webhook/callback",
        "callback",
        "Report a delivery, signed by Standard Webhooks",
        "webhooks",
        SIGNED,
        {"anyOf": [_of(CallbackIn), {"type": "array", "items": _of(CallbackIn)}]},
        {**_TAKEN, **problems(401, 413, 422, 503)},
        (("webhook-id", "of the call"), ("webhook-timestamp", "Unix seconds"), ("webhook-signature", "`v1,…`")),
    ),
    RawRoute(
        "POST",
        "/webhook/{provider}",
        "webhook",
        "Take a vendor's own delivery reports, verified by the vendor's own scheme",
        "webhooks",
        SIGNED,
        {"description": "the vendor's own format"},
        {**_TAKEN, **problems(401, 404, 413, 422, 503)},
    ),
)

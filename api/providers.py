"""`GET /providers` and their events: how the vendors stand, and what happened to them."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.access import Asker, HasParts
from api.documented import problems
from api.parts import Parts
from api.problems import Problem
from api.standing import ProviderOut, every_provider
from ledger import provider_events
from ledger.provider_events import Event

router = APIRouter(tags=["providers"], prefix="/providers")


class ProvidersOut(BaseModel):
    """All that are installed."""

    data: list[ProviderOut]


class EventsQuery(BaseModel):
    """How many."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=50, ge=1, le=100, description="how many at most")


class EventOut(BaseModel):
    """A breaker changed, or an operator said something. `before` null: nobody had said anything."""

    provider: str
    at: datetime
    kind: Literal["breaker", "operator"]
    before: str | None
    after: str
    reason: str | None
    changed_by: str | None = Field(description="of an operator's word: the visible part of the key, or `dev`")
    local: bool = Field(description="seen by one process alone, while Redis was gone")


class EventsOut(BaseModel):
    """Newest first."""

    data: list[EventOut]


@router.get("", operation_id="listProviders", responses=problems(401, 403, 503))
async def list_providers(parts: HasParts, who: Asker) -> ProvidersOut:
    """Every installed provider: its place in the route, what operators want of it, its breaker, its pace."""
    return ProvidersOut(data=await every_provider(parts))


@router.get("/events", operation_id="listProviderEvents", responses=problems(401, 403, 422, 503))
async def list_events(parts: HasParts, who: Asker, query: Annotated[EventsQuery, Query()]) -> EventsOut:
    """The newest changes of all providers' breakers and switches."""
    return await _events(parts, None, query.limit)


@router.get("/{name}/events", operation_id="getProviderEvents", responses=problems(401, 403, 404, 422, 503))
async def get_events(parts: HasParts, who: Asker, name: str, query: Annotated[EventsQuery, Query()]) -> EventsOut:
    """The newest changes of one provider's breaker and switch."""
    if name not in parts.providers and name not in parts.left_out:
        raise Problem("not_found", "There is no such provider.")
    return await _events(parts, name, query.limit)


async def _events(parts: Parts, provider: str | None, limit: int) -> EventsOut:
    return EventsOut(data=[_shown(event) for event in await provider_events.newest(parts.db, provider, limit)])


def _shown(event: Event) -> EventOut:
    return EventOut(
        provider=event.provider,
        at=event.at,
        kind="breaker" if event.kind == provider_events.BREAKER else "operator",
        before=event.before,
        after=event.after,
        reason=event.reason or None,
        changed_by=event.changed_by,
        local=event.local,
    )

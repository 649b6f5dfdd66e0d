"""`/dead-letters`: what nobody could deliver, to look at, retry or discard. An operator sees every tenant's."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.access import HasParts, LetterKeeper, LetterReader, RequestId, by
from api.cursors import cursors
from api.documented import problems
from api.inputs import LetterId, Moment, Name, Text, delivery_id
from api.paging import ListQuery, PageOut, paged
from api.parts import Parts
from api.problems import Problem, invalid
from api.requests import Fault
from api.waking import wake
from domain.ids import DeliveryId
from ledger import dead_letter_list, dead_letters
from ledger.dead_letter_list import Letter, Which
from ledger.dead_letters import Revived

router = APIRouter(tags=["dead letters"], prefix="/dead-letters")

_AT_ONCE = 10_000  # letters one request moves


class LetterOut(BaseModel):
    """One delivery that nobody could bring."""

    delivery_id: str
    notification_id: UUID
    tenant: str
    recipient_id: str
    channel: str
    provider: str | None = Field(description="the last that tried")
    reason: str | None
    attempts: int
    possible_duplicate: bool
    dead_at: datetime


class LettersOut(BaseModel):
    """A page of dead letters."""

    data: list[LetterOut]
    page: PageOut


class FilterIn(BaseModel):
    """Which dead letters are meant; what is not said is no condition."""

    model_config = ConfigDict(extra="forbid")

    channel: Name | None = None
    provider: Name | None = None
    reason: Text | None = None
    since: Moment | None = Field(default=None, validation_alias="from", description="died at or after")
    until: Moment | None = Field(default=None, validation_alias="to", description="died before")


class LettersQuery(FilterIn, ListQuery):
    """The same as a query."""


class RetryIn(BaseModel):
    """How to retry. Nothing said: through the first of the route."""

    model_config = ConfigDict(extra="forbid")

    provider: Name | None = None


class RetryManyIn(RetryIn):
    """Which to retry, and whether only to count them."""

    filter: FilterIn = FilterIn()
    dry_run: bool = False


class DiscardManyIn(BaseModel):
    """Which to discard, and whether only to count them. It is for good, so all of them are meant only by `{}`."""

    model_config = ConfigDict(extra="forbid")

    filter: FilterIn
    dry_run: bool = False


class MovedOut(BaseModel):
    """The delivery as it now stands."""

    delivery_id: str
    status: str


class ManyOut(BaseModel):
    """How many were meant, and how many of them are left: repeat while there are any."""

    matched: int
    remaining: int
    dry_run: bool


class RetryManyOut(ManyOut):
    """And how many were retried."""

    retried: int


class DiscardManyOut(ManyOut):
    """And how many were discarded."""

    discarded: int


@router.get("", operation_id="listDeadLetters", responses=problems(401, 403, 422, 503))
async def list_dead_letters(parts: HasParts, who: LetterReader, query: Annotated[LettersQuery, Query()]) -> LettersOut:
    """Dead letters, newest first."""
    limit, which = query.limit, _which(query, who.tenant)
    known = cursors(parts, "dead letters", who.tenant, query.model_dump())
    after = known.place(query.cursor, _died)
    found = await dead_letter_list.listed(parts.reading(who.tenant), which, limit + 1, after)
    page, foot = paged(found, limit, lambda letter: known.to(letter.dead_at.isoformat(), letter.id))
    return LettersOut(data=[_shown(letter) for letter in page], page=foot)


@router.post("/retry", operation_id="retryDeadLetters", responses=problems(401, 403, 413, 422, 503))
async def retry_many(parts: HasParts, who: LetterKeeper, request: RequestId, body: RetryManyIn) -> RetryManyOut:
    """Retry all that a filter names, some thousands a call; count them first with `dry_run`."""
    _check_provider(parts, body.provider, None)

    def move(which: Which) -> Awaitable[Revived]:
        return dead_letters.retry(
            parts.changing(who.tenant), parts.channels, which, body.provider, most=_AT_ONCE, by=by(who, request)
        )

    matched, moved = await _counted(parts, _which(body.filter, who.tenant), None if body.dry_run else move)
    return RetryManyOut(matched=matched, retried=moved, remaining=matched - moved, dry_run=body.dry_run)


@router.post("/discard", operation_id="discardDeadLetters", responses=problems(401, 403, 413, 422, 503))
async def discard_many(parts: HasParts, who: LetterKeeper, request: RequestId, body: DiscardManyIn) -> DiscardManyOut:
    """Give up all that a filter names, some thousands a call; count them first with `dry_run`."""

    def move(which: Which) -> Awaitable[Revived]:
        return dead_letters.discard(parts.changing(who.tenant), which, most=_AT_ONCE, by=by(who, request))

    matched, moved = await _counted(parts, _which(body.filter, who.tenant), None if body.dry_run else move)
    return DiscardManyOut(matched=matched, discarded=moved, remaining=matched - moved, dry_run=body.dry_run)


@router.post("/{id}/retry", operation_id="retryDeadLetter", responses=problems(401, 403, 404, 409, 413, 422, 503))
async def retry_one(
    parts: HasParts, who: LetterKeeper, request: RequestId, id: LetterId, body: RetryIn | None = None
) -> MovedOut:
    """Queue one dead letter again, due now, with its whole budget of tries."""
    delivery = delivery_id(id)
    letter = await _the(parts, delivery, who.tenant)
    provider = body.provider if body else None
    _check_provider(parts, provider, letter.channel)
    db, which = parts.changing(who.tenant), dead_letters.one(delivery, who.tenant)
    done = await dead_letters.retry(db, parts.channels, which, provider, by=by(who, request))
    if not done.moved:
        raise Problem("not_dead")
    await wake(parts, done.wake)
    return MovedOut(delivery_id=str(delivery), status="QUEUED")


@router.post("/{id}/discard", operation_id="discardDeadLetter", responses=problems(401, 403, 404, 409, 503))
async def discard_one(parts: HasParts, who: LetterKeeper, request: RequestId, id: LetterId) -> MovedOut:
    """Give one dead letter up: it has failed for good."""
    delivery = delivery_id(id)
    await _the(parts, delivery, who.tenant)
    done = await dead_letters.discard(
        parts.changing(who.tenant), dead_letters.one(delivery, who.tenant), by=by(who, request)
    )
    if not done.moved:
        raise Problem("not_dead")
    await wake(parts, done.wake)
    return MovedOut(delivery_id=str(delivery), status="FAILED")


async def _counted(parts: Parts, which: Which, move: Callable[[Which], Awaitable[Revived]] | None) -> tuple[int, int]:
    """How many are meant, and how many of them were moved."""
    matched = await dead_letter_list.count(parts.reading(which.tenant), which)
    if move is None or not matched:
        return matched, 0
    done = await move(which)
    await wake(parts, done.wake)
    return max(matched, done.moved), done.moved


def _died(at: str, delivery: str) -> tuple[datetime, DeliveryId]:
    return datetime.fromisoformat(at), DeliveryId.parse(delivery)


def _which(wanted: FilterIn, tenant: str | None) -> Which:
    return Which(
        tenant=tenant,
        channel=wanted.channel,
        provider=wanted.provider,
        reason=wanted.reason,
        since=wanted.since,
        until=wanted.until,
    )


async def _the(parts: Parts, delivery: DeliveryId, tenant: str | None) -> Letter:
    found = await dead_letter_list.listed(parts.reading(tenant), dead_letters.one(delivery, tenant), 1, None)
    if not found:
        raise Problem("not_found", "There is no such dead letter.")
    return found[0]


def _check_provider(parts: Parts, provider: str | None, channel: str | None) -> None:
    """Only one of the channel's route, or of any route where no channel is said."""
    if provider is None:
        return
    routes = [one.route for name, one in parts.channels.items() if channel in (None, name)]
    if not any(provider in route for route in routes):
        known = ", ".join(sorted({name for route in routes for name in route}))
        fault = Fault("/provider", f"No provider of this name in the route; there are {known}.")
        raise invalid(fault)


def _shown(letter: Letter) -> LetterOut:
    return LetterOut(
        delivery_id=str(letter.id),
        notification_id=letter.notification,
        tenant=letter.tenant,
        recipient_id=letter.recipient,
        channel=letter.channel,
        provider=letter.provider,
        reason=letter.reason,
        attempts=letter.attempts,
        possible_duplicate=letter.possible_duplicate,
        dead_at=letter.dead_at,
    )

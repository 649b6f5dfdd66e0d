"""Reads of `GET /status/{id}`: what a tenant asks while statements of its are under way shares the next one."""

from collections.abc import Sequence
from functools import partial
from urllib.parse import parse_qsl

import orjson
from pydantic import ValidationError

from api.asgi import Reply
from api.cursors import cursors
from api.errors import faults_of
from api.inputs import notification_id
from api.parts import Parts
from api.problems import Problem, invalid
from api.requests import Fault
from api.status import StatusQuery, shown
from domain.ids import DeliveryId
from ledger.grouping import Flushed, Group
from ledger.notifications import Asked, Found, statuses

_PAGE = 100  # deliveries
_TOGETHER = 128  # reads of one statement, by weight: each may bring a page of deliveries
_WITH_EVENTS = 16  # weight of a read that brings their histories, up to 100 lines each
_STATEMENTS = 2  # of one tenant at a time: one that takes long does not hold up all of its reads
_PACE = 0.01  # seconds that reads gather after a statement of some: one costs what a dozen reads in it do
_CROWD = 2  # reads in a statement from which the next waits its full pace
_BOUND = 4096  # weight of one tenant's reads that may wait
_KEPT = 1024  # groups, one for each tenant that reads

_NOTHING_SAID = StatusQuery()


class Reading:
    """One per process. A tenant never waits for another's statement, and no statement is of two tenants."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._groups: dict[str, Group[Asked, Found | None]] = {}

    async def status(self, tenant: str, id: str, query: str) -> Reply:
        """The answer to one caller; `id` and `query` as they came.

        Raises Problem 404 and 422, Full, LedgerUnavailable.
        """
        said = _said(query)
        named = notification_id(id)
        known = cursors(self._parts, "deliveries", tenant, {"notification": named})
        after = known.place(said.cursor, DeliveryId.parse)
        asked = Asked(named, after, events=said.expand == "events")
        found = await self._group(tenant).put(asked, _WITH_EVENTS if asked.events else 1)
        if found is None:
            raise Problem("not_found", "There is no such notification.")
        standing = found.standing()
        following = known.to(standing.following) if standing.following else None
        return Reply(200, orjson.dumps(shown(standing, following), option=orjson.OPT_UTC_Z))

    def _group(self, tenant: str) -> Group[Asked, Found | None]:
        group = self._groups.get(tenant)
        if group is None:
            if len(self._groups) >= _KEPT:
                # One whose last read is under way may go too: its tenant then has a statement more for a moment.
                self._groups = {name: kept for name, kept in self._groups.items() if kept.depth}
            group = self._groups[tenant] = Group(
                partial(self._read, tenant), cap=_TOGETHER, bound=_BOUND, pace=_PACE, crowd=_CROWD, flushes=_STATEMENTS
            )
        return group

    async def _read(self, tenant: str, asked: Sequence[Asked]) -> Flushed[Found | None]:
        return await statuses(self._parts.reading(tenant), tenant, asked, limit=_PAGE), None


def _said(query: str) -> StatusQuery:
    """Raises Problem 422. Names that mean nothing here are passed over."""
    if not query:
        return _NOTHING_SAID
    try:
        return StatusQuery.model_validate(dict(parse_qsl(query, keep_blank_values=True)))
    except ValidationError as error:
        raise invalid(*(Fault(f"/query{fault.pointer}", fault.detail) for fault in faults_of(error))) from None

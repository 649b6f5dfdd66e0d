"""`POST /notify` and `POST /notify/batch`: the hot path, from bytes to a committed notification."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from api.admission import Admission
from api.asgi import Reply, json_reply
from api.limiting import Limiting
from api.problems import Problem
from api.refusals import REFUSALS, Refusal, problem_of
from api.requests import Fault, Invalid, Reader
from domain.submissions import Accepted, Submission
from observe import metrics, traces
from throttle.limits import Granted, Item

_REPLAYED = {"Idempotency-Replayed": "true"}

Result = dict[str, Any]


class Notify:
    """Takes notifications for a tenant that has been let in.

    Limits are taken before anything else is, and given back for what was not taken or had been taken before.
    """

    def __init__(self, reader: Reader, admission: Admission, limiting: Limiting) -> None:
        self._reader, self._admission, self._limiting = reader, admission, limiting

    def look(self, tenant: str, headers: Mapping[str, str]) -> None:
        """Before the body of a single one is read: raises Problem 429 where that is certain. A repeat is let in."""
        if "idempotency-key" not in headers:
            self._limiting.look(tenant)

    async def one(self, tenant: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """202, committed. Raises Invalid, Refused, Full, LedgerUnavailable, Problem."""
        given = headers.get("traceparent")
        with traces.start("POST /notify", given) as span:
            read = self._reader.one(body, tenant, key=_key(headers), traceparent=span.traceparent or _sane(given))
            submission = self._checked(read)
            if isinstance(submission, Invalid):
                raise submission
            self._admission.look(submission)
            costs = self._limiting.items_of_request(tenant) + self._limiting.items_of(submission)
            (grant,) = await self._limiting.take(tenant, (costs,))
            accepted = await self._submit(submission, costs, grant)
        notification = str(accepted.id)
        told = {"Location": f"/status/{notification}", **self._limiting.headers(tenant, grant)}
        return json_reply(202, _taken(notification), told | _REPLAYED if accepted.replayed else told)

    async def many(self, tenant: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """207 with a result for each item, in order. Raises Invalid for a body that is no list, Problem."""
        read = self._reader.many(body, tenant, traceparent=_sane(headers.get("traceparent")))
        items = [self._checked(item) for item in read]
        request = self._limiting.items_of_request(tenant)
        costs = [self._limiting.items_of(item) if isinstance(item, Submission) else [] for item in items]
        first, *grants = await self._limiting.take(tenant, (request, *costs))
        if first.refused is not None:
            return await self._repeats(tenant, items, first)
        results = await asyncio.gather(*(self._item(*each) for each in zip(items, costs, grants, strict=True)))
        if all(result.get("replayed") for result in results):
            await self._limiting.give(request, first)
        return json_reply(207, {"results": results}, self._limiting.headers(tenant, first))

    async def _submit(self, submission: Submission, costs: Sequence[Item], grant: Granted) -> Accepted:
        """Raises Refused, Full, LedgerUnavailable, Problem 429."""
        if grant.refused is not None:
            if found := await self._admission.repeated(submission):
                return found
            raise self._limiting.refusal(submission.tenant, grant)
        try:
            accepted = await self._admission.submit(submission)
        except Exception:
            await self._limiting.give(costs, grant)
            raise
        if accepted.replayed:
            await self._limiting.give(costs, grant)
        return accepted

    async def _repeats(self, tenant: str, items: Sequence[Submission | Invalid], first: Granted) -> Reply:
        """A batch that finds no room is answered all the same if all of it was before. Raises Problem 429."""
        found: list[Result] = []
        for item in items:
            accepted = await self._admission.repeated(item) if isinstance(item, Submission) else None
            if accepted is None:
                raise self._limiting.refusal(tenant, first)
            found.append(_result(accepted))
        return json_reply(207, {"results": found}, self._limiting.headers(tenant, first))

    async def _item(self, item: Submission | Invalid, costs: Sequence[Item], grant: Granted) -> Result:
        try:
            if isinstance(item, Invalid):
                raise item
            return _result(await self._submit(item, costs, grant))
        except REFUSALS as error:
            return _refused(error)

    def _checked(self, item: Submission | Invalid) -> Submission | Invalid:
        if isinstance(item, Submission):
            most = self._limiting.of(item.tenant).recipients_per_request
            if len(item.recipients) > most:
                return Invalid(Fault("/recipient_ids", f"This tenant may name at most {most} recipients in a request."))
        return item


def _refused(error: Refusal) -> Result:
    """The problem as an item has it. An item has no headers: when to repeat it is a member."""
    problem: Problem = problem_of(error)
    metrics.count(metrics.REFUSED, problem.code)
    seconds = problem.headers.get("Retry-After")
    return problem.as_item() | ({"retry_after": int(seconds)} if seconds else {})


def _result(accepted: Accepted) -> Result:
    taken = {name: value for name, value in _taken(str(accepted.id)).items() if name != "status"}
    return {"status": 202, **taken, **({"replayed": True} if accepted.replayed else {})}


def _taken(notification: str) -> dict[str, str]:
    return {"id": notification, "notification_id": notification, "status": "accepted"}


def _key(headers: Mapping[str, str]) -> str | None:
    key = headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= 255 and key.isprintable()):
        raise Invalid(Fault("", "Idempotency-Key must be 1 to 255 printable characters."))
    return key


def _sane(traceparent: str | None) -> str | None:
    """A W3C traceparent as it came, to be carried on; None for anything else."""
    if traceparent and len(traceparent) == 55 and traceparent.isascii() and traceparent.count("-") == 3:
        return traceparent
    return None

"""`POST /notify` and `POST /notify/batch`: the hot path, from bytes to a committed notification."""

import asyncio
from collections.abc import Mapping
from typing import Any

from api.admission import Admission
from api.asgi import Reply, json_reply
from api.refusals import REFUSALS, Refusal, problem_of
from api.requests import Fault, Invalid, Reader
from domain.submissions import Submission
from observe import metrics, traces

_REPLAYED = {"Idempotency-Replayed": "true"}


class Notify:
    """Takes notifications for a tenant that has been let in."""

    def __init__(self, reader: Reader, admission: Admission) -> None:
        self._reader, self._admission = reader, admission

    async def one(self, tenant: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """202, committed. Raises Invalid, Refused, Full, LedgerUnavailable."""
        given = headers.get("traceparent")
        with traces.start("POST /notify", given) as span:
            submission = self._reader.one(body, tenant, key=_key(headers), traceparent=span.traceparent or _sane(given))
            accepted = await self._admission.submit(submission)
        notification = str(accepted.id)
        location = {"Location": f"/status/{notification}"}
        return json_reply(202, _taken(notification), location | _REPLAYED if accepted.replayed else location)

    async def many(self, tenant: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """207 with a result for each item, in order. Raises Invalid for a body that is no list."""
        items = self._reader.many(body, tenant, traceparent=_sane(headers.get("traceparent")))
        return json_reply(207, {"results": await asyncio.gather(*map(self._item, items))})

    async def _item(self, item: Submission | Invalid) -> dict[str, Any]:
        try:
            if isinstance(item, Invalid):
                raise item
            accepted = await self._admission.submit(item)
        except REFUSALS as error:
            return _refused(error)
        replayed = {"replayed": True} if accepted.replayed else {}
        return {"status": 202, **{k: v for k, v in _taken(str(accepted.id)).items() if k != "status"}, **replayed}


def _refused(error: Refusal) -> dict[str, Any]:
    """The problem as an item has it. An item has no headers: when to repeat it is a member."""
    problem = problem_of(error)
    metrics.count(metrics.REFUSED, problem.code)
    seconds = problem.headers.get("Retry-After")
    return problem.as_item() | ({"retry_after": int(seconds)} if seconds else {})


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

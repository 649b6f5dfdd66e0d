"""`POST /notify` and `POST /notify/batch`: the hot path, from bytes to a committed notification."""

import asyncio
from collections.abc import Mapping
from typing import Any

from api.asgi import Reply, json_reply
from api.lanes import Lanes
from api.problems import RETRY_SOON, Problem
from api.requests import Fault, Invalid, Reader
from domain.submissions import Refused, Submission
from ledger.database import LedgerUnavailable
from ledger.grouping import Full
from observe import traces

_REPLAYED = {"Idempotency-Replayed": "true"}


class Notify:
    """Takes notifications for a tenant that has been let in."""

    def __init__(self, reader: Reader, lanes: Lanes) -> None:
        self._reader, self._lanes = reader, lanes

    async def one(self, tenant: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """202, committed. Raises Problem, LedgerUnavailable."""
        given = headers.get("traceparent")
        with traces.start("POST /notify", given) as span:
            try:
                submission = self._reader.one(
                    body, tenant, key=_key(headers), traceparent=span.traceparent or _sane(given)
                )
                accepted = await self._lanes.submit(submission)
            except (Invalid, Refused, Full) as error:
                raise problem_of(error) from None
        notification = str(accepted.id)
        location = {"Location": f"/status/{notification}"}
        return json_reply(202, _taken(notification), location | _REPLAYED if accepted.replayed else location)

    async def many(self, tenant: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """207 with a result for each item, in order. Raises Problem for a body that is no list."""
        try:
            items = self._reader.many(body, tenant, traceparent=_sane(headers.get("traceparent")))
        except Invalid as error:
            raise problem_of(error) from None
        return json_reply(207, {"results": await asyncio.gather(*map(self._item, items))})

    async def _item(self, item: Submission | Invalid) -> dict[str, Any]:
        try:
            if isinstance(item, Invalid):
                raise item
            accepted = await self._lanes.submit(item)
        except (Invalid, Refused, Full, LedgerUnavailable) as error:
            return problem_of(error).as_item()
        replayed = {"replayed": True} if accepted.replayed else {}
        return {"status": 202, **{k: v for k, v in _taken(str(accepted.id)).items() if k != "status"}, **replayed}


def problem_of(error: Invalid | Refused | Full | LedgerUnavailable) -> Problem:
    """What the caller is told."""
    match error:
        case Invalid():
            return Problem("invalid_request", "The request is not valid.", errors=error.faults)
        case Refused():
            errors = (Fault(error.pointer, error.detail),) if error.pointer else ()
            retry = RETRY_SOON if error.code == "in_progress" else {}
            return Problem(error.code, error.detail, errors=errors, headers=retry)
        case Full():
            return Problem("overloaded", "Too much is waiting for this priority.", headers=RETRY_SOON)
        case _:
            return Problem("unavailable", "The ledger cannot be reached; nothing was taken.", headers=RETRY_SOON)


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

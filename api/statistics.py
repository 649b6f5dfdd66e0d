"""`GET /metrics`: a tenant's totals as JSON, or the whole process's metrics for Prometheus."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel

from api.access import Asker, HasParts
from api.documented import problems
from api.problems import Problem
from ledger import statistics
from ledger.keys import Role
from ledger.statistics import Totals
from observe.exposition import exposition

router = APIRouter(tags=["operation"])

_PROMETHEUS = ("text/plain", "application/openmetrics-text")


class TotalsOut(BaseModel):
    """Deliveries a vendor took, those that ended well, and those that failed."""

    sent: int
    success: int
    failed: int


class MetricsOut(BaseModel):
    """The caller's deliveries, by what has become of them at the last look of each run.

    sent: SENT, DELIVERED, UNCONFIRMED. success: those of them that have ended. failed: FAILED, DEAD, EXPIRED,
    SUPPRESSED. CANCELLED is neither, nor is what is still on its way.
    """

    total_sent: int
    total_success: int
    total_failed: int
    by_status: dict[str, int]
    by_channel: dict[str, TotalsOut]
    by_provider: dict[str, TotalsOut]


_EXPOSED: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {"schema": {"type": "string"}} for kind in _PROMETHEUS}},
}


@router.get(
    "/metrics",
    operation_id="getMetrics",
    response_model=MetricsOut,
    responses={**_EXPOSED, **problems(401, 403, 503)},
)
async def get_metrics(parts: HasParts, who: Asker, accept: Annotated[str, Header()] = "") -> MetricsOut | Response:
    """JSON by default; with `Accept: text/plain` or OpenMetrics the exposition format, for an operator's key."""
    if any(kind in accept for kind in _PROMETHEUS):
        if who.role is not Role.OPERATOR:
            raise Problem("forbidden", "The metrics of the whole process need an operator's key.")
        body, content_type = exposition(accept)
        return Response(body, headers={"Content-Type": content_type})
    if who.tenant is None:
        raise Problem("forbidden", "An operator's key belongs to no tenant: ask for text/plain.")
    found = await statistics.of_tenant(parts.reading(who.tenant), who.tenant)
    return MetricsOut(
        total_sent=found.totals.sent,
        total_success=found.totals.success,
        total_failed=found.totals.failed,
        by_status=dict(found.by_status),
        by_channel={name: _shown(totals) for name, totals in found.by_channel.items()},
        by_provider={name: _shown(totals) for name, totals in found.by_provider.items()},
    )


def _shown(totals: Totals) -> TotalsOut:
    return TotalsOut(sent=totals.sent, success=totals.success, failed=totals.failed)

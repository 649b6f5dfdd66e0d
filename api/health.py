"""`/livez`, `/readyz` and the list of problems: for machines that watch, and people who wonder."""

import asyncio
from collections.abc import Mapping
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from api.access import HasParts
from api.documented import problems
from api.parts import Parts
from api.probes import WITHIN
from api.problems import CODES, Problem
from api.standing import ConditionOut, condition, without_provider
from ledger import provider_switches
from ledger.database import LedgerUnavailable
from ledger.provider_switches import Said

router = APIRouter(tags=["operation"])


class LiveOut(BaseModel):
    """This process answers."""

    status: Literal["ok"] = "ok"


class PartOut(BaseModel):
    """How a part stands. Without one that is `needed` nothing can be accepted."""

    state: Literal["ok", "away"]
    needed: bool


class ReadyOut(BaseModel):
    """ok: all is there. degraded: accepting goes on, what waits for the missing part comes later. away: 503.

    Degraded is also a channel of which no provider takes messages.
    """

    status: Literal["ok", "degraded", "away"]
    parts: dict[str, PartOut]
    providers: dict[str, ConditionOut]


class KindOut(BaseModel):
    """One kind of problem."""

    type: str
    code: str
    status: int
    title: str
    meaning: str


@router.get("/livez", operation_id="getLive")
async def live() -> LiveOut:
    """Answers while the process runs."""
    return LiveOut()


@router.get("/readyz", operation_id="getReady", responses={503: {"model": ReadyOut, "description": "away"}})
async def ready(parts: HasParts, response: Response) -> ReadyOut:
    """Each part and provider with its state; 503 only when PostgreSQL is away: accepting survives all other losses."""
    found, views, said = await asyncio.gather(parts.probes.ask(), parts.gates.gate.states(), _said(parts))
    away = any(part.needed and not part.ok for part in found)
    well = all(part.ok for part in found) and not without_provider(parts.channels, views)
    response.status_code = 503 if away else 200
    return ReadyOut(
        status="away" if away else "ok" if well else "degraded",
        providers={name: condition(view, said.get(name)) for name, view in views.items()},
        parts={part.name: PartOut(state="ok" if part.ok else "away", needed=part.needed) for part in found},
    )


async def _said(parts: Parts) -> Mapping[str, Said]:
    """When operators said what; unknown without the ledger."""
    try:
        async with asyncio.timeout(WITHIN):
            return await provider_switches.said(parts.db)
    except (LedgerUnavailable, TimeoutError):
        return {}


@router.get("/problems/{code}", operation_id="getProblem", responses=problems(404))
async def problem(code: str) -> KindOut:
    """What a problem's `type` means."""
    kind = CODES.get(code)
    if kind is None:
        raise Problem("not_found", "There is no such kind of problem.")
    return KindOut(type=f"/problems/{code}", code=code, status=kind.status, title=kind.title, meaning=kind.meaning)

"""`/livez`, `/readyz` and the list of problems: for machines that watch, and people who wonder."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from api.access import HasParts
from api.documented import problems
from api.problems import CODES, Problem

router = APIRouter(tags=["operation"])


class LiveOut(BaseModel):
    """This process answers."""

    status: Literal["ok"] = "ok"


class PartOut(BaseModel):
    """How a part stands. Without one that is `needed` nothing can be accepted."""

    state: Literal["ok", "away"]
    needed: bool


class ReadyOut(BaseModel):
    """ok: all is there. degraded: accepting goes on, what waits for the missing part comes later. away: 503."""

    status: Literal["ok", "degraded", "away"]
    parts: dict[str, PartOut]


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
    """Each part with its state; 503 only when PostgreSQL is away, for accepting survives the loss of the others."""
    found = await parts.probes.ask()
    away = any(part.needed and not part.ok for part in found)
    response.status_code = 503 if away else 200
    return ReadyOut(
        status="away" if away else "ok" if all(part.ok for part in found) else "degraded",
        parts={part.name: PartOut(state="ok" if part.ok else "away", needed=part.needed) for part in found},
    )


@router.get("/problems/{code}", operation_id="getProblem", responses=problems(404))
async def problem(code: str) -> KindOut:
    """What a problem's `type` means."""
    kind = CODES.get(code)
    if kind is None:
        raise Problem("not_found", "There is no such kind of problem.")
    return KindOut(type=f"/problems/{code}", code=code, status=kind.status, title=kind.title, meaning=kind.meaning)

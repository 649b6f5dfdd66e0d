"""What the doctor finds: a part, how it stands, and what to do about it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

_WITHIN = 20.0  # seconds for one part, the only limit: a busy machine needs some, and is not broken


class State(StrEnum):
    """How a part stands."""

    OK = "ok"
    LOOK = "look"  # worth a look; nothing is broken
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `todo`: what to do, empty when all is well."""

    part: str
    state: State
    told: str
    todo: str = ""


def ok(part: str, told: str) -> Finding:
    """All is well."""
    return Finding(part, State.OK, told)


def look(part: str, told: str, todo: str) -> Finding:
    """It works; somebody should know."""
    return Finding(part, State.LOOK, told, todo)


def wrong(part: str, told: str, todo: str) -> Finding:
    """It does not work."""
    return Finding(part, State.WRONG, told, todo)


Check = Callable[[], AsyncIterator[Finding]]
"""Looks at one part; what it yields before it raises counts."""


async def found_by(part: str, check: Check, todo: str) -> Sequence[Finding]:
    """What a check finds. One that raises, or takes too long, has found its part wrong, with this to do."""
    from settings import SettingsError

    findings: list[Finding] = []
    try:
        async with asyncio.timeout(_WITHIN):
            async for finding in check():
                findings.append(finding)
    except TimeoutError:
        findings.append(wrong(part, f"no answer within {_WITHIN:g} s", todo))
    except SettingsError as error:
        findings.append(wrong(part, str(error), "Set it, or start everything here with `clarion dev`."))
    except Exception as error:
        # A doctor looks at broken things: any error is a finding, and only its text tells people more.
        findings.append(wrong(part, _in_words(error), todo))
    return findings


def _in_words(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__

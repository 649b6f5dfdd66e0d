"""What callers are told when they cannot be served: the one place where exceptions become problems."""

from api.asgi import BodyTooLarge
from api.problems import Problem, invalid, retry_after
from api.requests import MOST_BODY, Fault, Invalid
from domain.submissions import Refused
from ledger.database import LedgerUnavailable
from ledger.grouping import Full
from providers.base import Unavailable

_SOON = retry_after(1)
_AWAY = "The ledger cannot be reached; nothing was taken."
_PASSES = frozenset({"in_progress", "unavailable"})  # refusals that a repeat may not meet any more

Refusal = Problem | Invalid | Refused | Full | LedgerUnavailable | Unavailable | BodyTooLarge
REFUSALS = (Problem, Invalid, Refused, Full, LedgerUnavailable, Unavailable, BodyTooLarge)


def problem_of(error: Refusal) -> Problem:
    """The problem that says it, with `Retry-After` wherever repeating the same request makes sense."""
    match error:
        case Problem():
            return error
        case Invalid():
            return invalid(*error.faults)
        case Refused():
            errors = (Fault(error.pointer, error.detail),) if error.pointer is not None else ()
            return Problem(error.code, error.detail, errors=errors, headers=_SOON if error.code in _PASSES else {})
        case Full():
            return Problem("overloaded", headers=retry_after(error.retry_after))
        case LedgerUnavailable() | Unavailable():
            return Problem("unavailable", str(error) if isinstance(error, Unavailable) else _AWAY, headers=_SOON)
        case BodyTooLarge():
            return Problem("too_large", f"At most {MOST_BODY} bytes.")

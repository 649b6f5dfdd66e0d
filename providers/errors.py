"""How a vendor's error codes become outcomes: one `ErrorMap` per provider, read by the same rule for all."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from domain.outcomes import LONGEST_REST, SHORTEST_REST, Answer, Outcome
from domain.suppressions import Reason

ErrorMap = Mapping[str, Outcome]
"""Code -> outcome. A code is the vendor's own (`21610`, `UNREGISTERED`), a status (`429`) or a class of it (`4xx`)."""


Suppressions = Mapping[str, Reason]
"""Code -> what it says about the address: nothing more is to be sent there. The code is the vendor's own."""


def refused(
    errors: ErrorMap,
    status: int,
    code: str | None = None,
    pause: float | None = None,
    suppressions: Suppressions = MappingProxyType({}),
) -> Answer:
    """The answer for an error: the vendor's own code decides, then the status, then its class, then doubt.

    `pause` is the vendor's wish in seconds. The reason is the code and status alone: vendors' texts quote addresses.
    """
    candidates = (code or "", str(status), f"{status // 100}xx")
    outcome = next((errors[name] for name in candidates if name in errors), Outcome.IN_DOUBT)
    retry_after = _bounded(pause) if outcome is Outcome.THROTTLED else None
    reason = f"{status} {code}" if code and code != str(status) else str(status)
    suppress = suppressions.get(code or "") if outcome is Outcome.REJECTED else None
    return Answer(outcome, reason=reason, retry_after=retry_after, suppress=suppress)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a `Retry-After` header, which is a number or a date (RFC 9110, 10.2.3); None for none or rubbish."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


def _bounded(pause: float | None) -> float:
    # A NaN or a negative number is as good as no number.
    return min(pause, LONGEST_REST) if pause is not None and pause >= 0 else SHORTEST_REST

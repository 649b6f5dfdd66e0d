"""Counts claims: which are probes, a vendor's share in windows of time, and when it has its share back."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from bench.failover.cases import VENDOR
from bench.failover.facts import Change, Claim

WINDOW = 2.0  # seconds
PROBE_EVERY = 5.0  # seconds between two probes, and from the opening to the first
LATE_CLAIM = 0.5  # seconds that a claim may come after its probe was granted
_TICK = 1e-6


def of_vendor(claims: Sequence[Claim]) -> list[Claim]:
    """Those that try the vendor that dies."""
    return [claim for claim in claims if claim.provider == VENDOR]


def between(claims: Sequence[Claim], first: float, end: float) -> list[Claim]:
    """Those of [first, end)."""
    return [claim for claim in claims if first <= claim.at < end]


def share(claims: Sequence[Claim]) -> float:
    """The vendor's part of them, 0 to 1; of none it has none."""
    return len(of_vendor(claims)) / len(claims) if claims else 0.0


def split(claims: Sequence[Claim], changes: Sequence[Change]) -> tuple[list[Claim], list[Claim]]:
    """Claims of the vendor that trusted it, and probes: those made while the breaker all share was not closed.

    What comes before the first probe may go was granted before the breaker opened.
    """
    spans = _not_closed([change for change in changes if not change.local])
    trusting: list[Claim] = []
    probes: list[Claim] = []
    for claim in of_vendor(claims):
        probing = any(first + PROBE_EVERY - LATE_CLAIM <= claim.at < end for first, end in spans)
        (probes if probing else trusting).append(claim)
    return trusting, probes


def _not_closed(changes: Sequence[Change]) -> list[tuple[float, float]]:
    spans: list[tuple[float, float]] = []
    since: float | None = None
    for change in changes:
        if change.after != "closed":
            since = change.at if since is None else since
        elif since is not None:
            spans.append((since, change.at))
            since = None
    return spans if since is None else [*spans, (since, float("inf"))]


def worst_share(claims: Sequence[Claim], first: float, end: float, least: int = 1) -> float:
    """The vendor's largest share in any 2 s within [first, end) that hold at least so many claims of it."""
    every_at = [claim.at for claim in claims]
    its_at = [claim.at for claim in of_vendor(claims)]
    # A share is largest where one of its claims has just come in or is about to go out.
    starts = [first, end - WINDOW, *its_at, *(at + _TICK - WINDOW for at in its_at)]
    windows = [(start, start + WINDOW) for start in starts if first <= start <= end - WINDOW]
    shares = [_share(its_at, every_at, window) for window in windows if _within(its_at, window) >= least]
    return max(shares, default=0.0)


def _share(some: Sequence[float], every: Sequence[float], window: tuple[float, float]) -> float:
    n = _within(every, window)
    return _within(some, window) / n if n else 0.0


def _within(times: Sequence[float], window: tuple[float, float]) -> int:
    return bisect_left(times, window[1]) - bisect_left(times, window[0])


def back_after(claims: Sequence[Claim], healed_at: float, enough: float, width: float) -> float | None:
    """Seconds from healing until the vendor has this share of the last `width` seconds; None: not in this time."""
    every_at = [claim.at for claim in claims]
    its_at = [claim.at for claim in of_vendor(claims)]
    for at in its_at:
        if at >= healed_at and _share(its_at, every_at, (at + _TICK - width, at + _TICK)) >= enough:
            return at - healed_at
    return None


def closest(claims: Sequence[Claim]) -> float:
    """The shortest time between two of them in seconds; infinite for fewer than two."""
    return min((later.at - earlier.at for earlier, later in pairwise(claims)), default=float("inf"))

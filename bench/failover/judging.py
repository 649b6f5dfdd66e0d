"""Holds what happened in a case against what is promised; each promise that was broken is one sentence."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from bench.failover import shares
from bench.failover.cases import BACK_WITHIN, VENDOR, Kind
from bench.failover.facts import Claim
from bench.failover.play import Played, window_of_return
from bench.failover.shares import LATE_CLAIM, PROBE_EVERY
from ledger.checking.report import TITLES, Report

TRIES = 5  # messages at 1/s
SHARE = 0.05
SLOW = 3.0  # seconds after which a call counts as failed
NOTICED = 2.0  # seconds from the second slow call to the breaker's opening, at most


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table. Times are seconds from the fault or, for `back`, from the healing."""

    case: str
    accepted_per_s: float
    sent_per_s: float
    turned_away: int  # requests answered with anything but 202
    opened: float | None  # when the breaker first opened; below 0: before there was a reason to
    tried: int  # messages that tried the dead vendor while its breaker was closed
    tried_late: int  # of these, from when the fault could be noticed
    probes: int
    worst_share: float | None  # in any 2 s; two messages, at 1/s, have no shares
    worst_share_of_two: float  # in any 2 s with two claims of it or more
    closest_probes: float | None
    back: float | None
    calls: int  # that came to the vendor's address in the whole case, by its own count
    claims: int  # of the vendor, in the whole case
    possible_duplicates: int
    lost: int
    uncounted: int
    unfinished: int  # deliveries still open at the end, or dead
    changes: list[tuple[float, str, str, bool]]  # when, to what, why, and whether in one process alone
    timeline: list[tuple[int, int, int]]  # second, claims of the vendor, of the others
    broken: list[str]


def judged(played: Played) -> Finding:
    """The line for one case."""
    case, moments, claims, verdict = played.case, played.moments, played.claims, played.verdict
    trusting, probes = shares.split(claims, played.changes)
    noticed, moved = moments.fault + case.noticed_from, moments.fault + case.moved_from
    closest = shares.closest(probes)
    before = shares.share(shares.between(claims, moments.began, moments.fault))
    opened = [change.at - moments.fault for change in played.changes if change.after == "open" and not change.local]
    finding = Finding(
        case=case.name,
        accepted_per_s=played.accepted_per_s,
        sent_per_s=played.sent_per_s,
        turned_away=played.turned_away,
        opened=opened[0] if opened else None,
        tried=_messages(trusting, moments.fault, moments.healed),
        tried_late=_messages(trusting, noticed, moments.healed),
        probes=len(probes),
        worst_share=shares.worst_share(claims, moved, moments.healed) if case.rate > 1 else None,
        worst_share_of_two=shares.worst_share(claims, moved, moments.healed, least=2),
        closest_probes=None if math.isinf(closest) else closest,
        back=shares.back_after(claims, moments.healed, before / 2, window_of_return(case)),
        calls=len(played.calls),
        claims=len(shares.of_vendor(claims)),
        possible_duplicates=played.duplicates,
        lost=verdict.lost,
        uncounted=verdict.uncounted,
        unfinished=verdict.unfinished.open + verdict.unfinished.dead,
        changes=[(each.at - moments.fault, each.after, each.reason, each.local) for each in played.changes],
        timeline=_timeline(played),
        broken=[],
    )
    finding.broken.extend(_broken(played, finding, probes))
    return finding


def _broken(played: Played, found: Finding, probes: list[Claim]) -> Iterator[str]:
    rate, hanging = played.case.rate, played.case.kind is Kind.HANGING
    if rate == 1 and found.tried_late > TRIES:
        yield f"{found.tried_late} messages tried the dead vendor; at most {TRIES} may"
    if rate > 1 and found.worst_share_of_two >= SHARE:
        yield f"the dead vendor had {found.worst_share_of_two:.1%} of some 2 s; it must be under {SHARE:.0%}"
    if found.opened is None:
        yield "its breaker never opened"
    elif found.opened < 0:
        yield f"its breaker opened {-found.opened:.1f} s before the fault"
    elif hanging and found.opened > SLOW + NOTICED + 2 / rate:
        yield f"its breaker opened after {found.opened:.1f} s: a call older than {SLOW:g} s must count as failed"
    if found.closest_probes is not None and found.closest_probes < PROBE_EVERY - LATE_CLAIM:
        yield f"two probes within {found.closest_probes:.1f} s; one in {PROBE_EVERY:g} s may go"
    if high := sum(claim.priority == "high" for claim in probes):
        yield f"{high} probes of high priority"
    if found.back is None or found.back > BACK_WITHIN:
        yield f"its traffic was not back within {BACK_WITHIN:g} s of healing"
    if not found.calls:
        yield "no call came to the vendor's address: nothing was measured"
    if found.calls > found.claims:
        yield f"{found.calls} calls came to the vendor, {found.claims} were claimed"
    for what, n in (("were never taken by a vendor", found.lost), ("have not ended well", found.unfinished)):
        if n:
            yield f"{n} messages {what}"
    yield from _checked(played.verdict.report)


def _checked(report: Report) -> Iterator[str]:
    """What the checker of ledgers found."""
    for invariant, tally in report.tallies.items():
        if tally.wrong:
            yield f"{tally.wrong} times not so: {TITLES[invariant]} (first {tally.first[0].id}: {tally.first[0].why})"


def _messages(claims: list[Claim], first: float, end: float) -> int:
    return len({claim.message for claim in shares.between(claims, first, end)})


def _timeline(played: Played) -> list[tuple[int, int, int]]:
    fault = played.moments.fault
    n = Counter((math.floor(claim.at - fault), claim.provider == VENDOR) for claim in played.claims)
    seconds = sorted({second for second, _ in n})
    return [(second, n[second, True], n[second, False]) for second in seconds]

"""May messages go now? The part of decisions.py that grants."""

from dataclasses import replace

from domain.operators import Switch
from throttle.policy import Figures
from throttle.state import State
from throttle.steps import Admit, Rank, Ruling
from throttle.words import RATE, Breaker


def admit(state: State, now: int, figures: Figures, step: Admit) -> tuple[State, Ruling]:
    """How many messages may go: operator, vendor's pause, breaker and bucket are asked, in this order."""
    if (state.switch or step.switch) == Switch.DISABLED:
        return state, Ruling(reason="disabled")
    if state.paused > now:
        return state, Ruling(reason="paused by the vendor", wait=state.paused - now)
    if state.breaker is not Breaker.CLOSED:
        return _admit_probe(state, now, figures, step)
    if step.rank is Rank.CHECK:
        return state, Ruling()
    state, granted, wait = _take(state, now, figures, step.wanted, step.reserve)
    return state, Ruling(granted, wait, reason=RATE if granted < step.wanted else "")


def _admit_probe(state: State, now: int, figures: Figures, step: Admit) -> tuple[State, Ruling]:
    if step.rank is Rank.LOW:
        state = replace(state, low_at=now)
    if step.rank is Rank.NORMAL:
        state = replace(state, normal_at=now)
    if state.probe_at > now:
        return state, Ruling(reason=state.reason, wait=state.probe_at - now)
    if not _may_probe(state, now, figures, step.rank):
        return state, Ruling(reason=state.reason, wait=figures.probe_every)
    state, granted, wait = _take(state, now, figures, min(step.wanted, 1), step.reserve)
    if not granted:
        return state, Ruling(reason=RATE, wait=wait)
    wait = figures.probe_every if step.wanted > 1 else -1
    return replace(state, probe_at=now + figures.probe_every), Ruling(1, wait, 1, state.reason)


def _may_probe(state: State, now: int, figures: Figures, rank: Rank) -> bool:
    # Who was told to wait a whole interval is just coming back: half a one more, and it is taken to have gone.
    lately = now - figures.probe_every * 3 // 2
    if rank is Rank.NORMAL:
        return state.low_at <= lately
    if rank is Rank.CHECK:
        # A message proves more than our question, and runs that wait ask once a minute at least. After one came
        # through, our question is good enough for those of high priority that wait.
        lately = now - figures.check_after if state.breaker is Breaker.OPEN else lately
        return state.low_at <= lately and state.normal_at <= lately
    return rank is Rank.LOW


def _take(state: State, now: int, figures: Figures, wanted: int, reserve: int) -> tuple[State, int, int]:
    """Tokens taken, and the wait for the next one; -1 when all were there."""
    if not figures.interval:
        return state, wanted, -1
    full = figures.burst * figures.interval
    tat = max(now, min(state.tat, max(now, state.paused) + full))
    granted = max(0, min(wanted, (now + full - tat) // figures.interval - reserve))
    tat += granted * figures.interval
    wait = tat - (figures.burst - reserve - 1) * figures.interval - now if granted < wanted else -1
    return replace(state, tat=tat), granted, wait

"""The decisions of a gate as pure functions: what breaker.lua decides in Redis, line for line, for when it is gone."""

from dataclasses import replace

from throttle.admitting import admit
from throttle.judging import forget, move, receipts, report
from throttle.policy import Figures
from throttle.state import State
from throttle.steps import Admit, Operate, Pause, Receipts, Report, Ruling, Step
from throttle.words import Breaker


def decide(state: State, now: int, figures: Figures, step: Step) -> tuple[State, Ruling]:
    """The state after `step` at `now`, and what it says. A clock that was set back holds nothing up for long."""
    sane = replace(
        state,
        paused=min(state.paused, now + figures.longest_pause),
        probe_at=min(state.probe_at, now + figures.probe_every),
        low_at=min(state.low_at, now),
        normal_at=min(state.normal_at, now),
    )
    match step:
        case Admit():
            after, ruling = admit(sane, now, figures, step)
        case Report():
            after, ruling = report(sane, now, figures, step), Ruling()
        case Receipts():
            after, ruling = receipts(sane, now, figures, step), Ruling()
        case Pause():
            after = _pause(sane, now, figures, step.length)
            ruling = Ruling(fresh=int(sane.paused <= now < after.paused))
        case Operate():
            after, ruling = _operate(sane, now, step), Ruling()
        case _:
            raise TypeError(step)
    return after, replace(ruling, before=state.breaker if after.breaker is not state.breaker else "")


def _pause(state: State, now: int, figures: Figures, length: int) -> State:
    """The longest wish counts, and what waited then goes at the provider's pace: its bucket is empty by then."""
    until = max(state.paused, now + min(length, figures.longest_pause))
    tat = until + figures.burst * figures.interval if figures.interval else state.tat
    return replace(state, paused=until, tat=tat)


def _operate(state: State, now: int, step: Operate) -> State:
    state = replace(state, switch=step.switch, switch_reason=step.reason, weight=step.weight)
    if not step.trust:
        return state
    state = replace(state, paused=0, healed=0)
    if state.breaker is Breaker.CLOSED:
        return state
    return move(forget(state), now, Breaker.CLOSED, f"closed by an operator: {step.reason}")

"""Does the vendor work? The part of decisions.py that opens and closes breakers."""

from dataclasses import replace

from throttle.policy import Figures
from throttle.state import State, count
from throttle.steps import Receipts, Report
from throttle.words import Breaker


def report(state: State, now: int, figures: Figures, step: Report) -> State:
    """What came of calls: while closed all are weighed, else only probes count."""
    if step.released:
        state = replace(state, tat=state.tat - step.released * figures.interval)
        if step.probe:
            state = replace(state, probe_at=min(state.probe_at, now))
    if state.breaker is Breaker.CLOSED:
        return _weigh_answers(state, now, figures, step)
    if not step.probe:
        return state  # a straggler, sent before it opened
    if step.bad:
        failed = f"a probe failed, last: {step.last}"
        state = replace(state, healed=0)
        return move(state, now, Breaker.OPEN, failed) if state.breaker is Breaker.HALF_OPEN else state
    if step.good and state.cause == "answers":
        return _heal(state, now, figures)
    return state


def _weigh_answers(state: State, now: int, figures: Figures, step: Report) -> State:
    if not step.good and not step.bad:
        return state
    counted = count(state.answers, now // figures.slice, figures.slices, step.good, step.bad)
    state = replace(state, answers=counted.line, run=0 if step.good else state.run + step.points)
    if _too_many(figures, counted.total, counted.bad):
        reason = f"{counted.bad} of {counted.total} calls failed, last: {step.last}"
        return _open(state, now, figures, "answers", reason)
    if state.run >= (figures.run if counted.total < figures.sample else figures.busy_run):
        return _open(state, now, figures, "answers", f"no call in a row came through, last: {step.last}")
    return state


def receipts(state: State, now: int, figures: Figures, step: Receipts) -> State:
    """What came of accepted messages: while closed all are weighed, else only a probe's receipt counts."""
    if step.on_time:
        state = replace(state, heard=now)
    if state.breaker is not Breaker.CLOSED:
        # Only a message sent after it opened, which is a probe, shows that the vendor delivers again.
        proven = step.on_time and state.cause == "receipts" and now - step.youngest >= state.opened
        return _heal(state, now, figures) if proven else state
    # What passes its usual time now was sent that long ago: before the breaker closed it was somebody else's trouble.
    # And one that never reported has no usual time: perhaps nobody told it where to report.
    silent = step.silent if state.heard and now - step.usual >= state.since else 0
    if not step.on_time and not silent:
        return state
    counted = count(state.receipts, now // figures.slice, figures.slices, step.on_time, silent)
    state = replace(state, receipts=counted.line, silent_run=0 if step.on_time else state.silent_run + 2 * silent)
    if _too_many(figures, counted.total, counted.bad):
        reason = f"no receipts: {counted.bad} of {counted.total} accepted messages stayed silent"
        return _open(state, now, figures, "receipts", reason)
    if state.silent_run >= (figures.run if counted.total < figures.sample else figures.busy_run):
        return _open(state, now, figures, "receipts", "no receipts: no message in a row was reported in its usual time")
    return state


def _too_many(figures: Figures, total: int, bad: int) -> bool:
    return total >= figures.sample and bad * 100 >= figures.percent * total


def _open(state: State, now: int, figures: Figures, cause: str, reason: str) -> State:
    state = replace(state, cause=cause, opened=now, healed=0, probe_at=now + figures.probe_every)
    return move(forget(state), now, Breaker.OPEN, reason)


def _heal(state: State, now: int, figures: Figures) -> State:
    state = replace(state, healed=state.healed + 1)
    if state.healed >= figures.heals:
        return move(forget(state), now, Breaker.CLOSED, f"{state.healed} probes in a row came through")
    return move(state, now, Breaker.HALF_OPEN, "a probe came through") if state.breaker is Breaker.OPEN else state


def forget(state: State) -> State:
    """A new beginning for both windows."""
    return replace(state, answers="", receipts="", run=0, silent_run=0)


def move(state: State, now: int, breaker: Breaker, reason: str) -> State:
    """Change the breaker."""
    return replace(state, breaker=breaker, reason=reason, since=now)

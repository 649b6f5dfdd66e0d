"""The gate in front of every vendor: may messages go, what came of them, and how do the providers stand."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from redis.asyncio import Redis
from redis.exceptions import RedisError

from domain.operators import Operator, Switch
from domain.outcomes import Outcome
from domain.priorities import Priority
from observe import metrics
from throttle.lifeline import Lifeline
from throttle.local import Local
from throttle.policy import MICRO, UNLIMITED, BreakerPolicy, Figures, Pace, micro
from throttle.shared import Shared, Taken
from throttle.state import State
from throttle.steps import Admit, Operate, Pause, Rank, Receipts, Report, Step
from throttle.words import Admission, Breaker, Change, View

LIMIT = 1.0  # seconds; a busy process of ours may well be late for an answer that has long been there
LEAST_WAIT = 0.05  # seconds; a pace faster than this is kept by asking for more at once
_GONE = (RedisError, OSError, ValueError)  # OSError holds TimeoutError; ValueError: a hash that no gate wrote
_GAUGE = {Breaker.CLOSED: 0, Breaker.HALF_OPEN: 1, Breaker.OPEN: 2}
_SWITCHES = {Switch.ENABLED: 0, Switch.DRAINING: 1, Switch.DISABLED: 2}


class Gate:
    """One per process, for all its providers. Nothing here raises for Redis: while it is gone, this process decides.

    Ask once for a chunk of messages and report in bulk (see Tally): a step is one round trip. `paces` names every
    provider; the client stays the caller's.
    """

    def __init__(
        self, redis: Redis, paces: Mapping[str, Pace], policy: BreakerPolicy | None = None, limit: float = LIMIT
    ) -> None:
        """`limit`: seconds a question to Redis may take in all, waiting for a connection included."""
        self.policy = policy or BreakerPolicy()
        self._paces, self._limit = paces, limit
        self._figures = {name: Figures.of(self.policy, pace) for name, pace in paces.items()}
        self._shared, self._local, self._lifeline = Shared(redis), Local(), Lifeline()

    def pace(self, provider: str) -> Pace:
        """How fast it may be called."""
        return self._paces.get(provider, UNLIMITED)

    async def admit(self, provider: str, wanted: int, priority: Priority) -> Admission:
        """How many of `wanted` messages may go now. What is granted and not called is given back as `released`."""
        step = Admit.of(wanted, priority, self.pace(provider), self._local.switch(provider))
        taken, _ = await self._take(provider, step)
        return _admission(taken)

    async def may_check(self, provider: str) -> bool:
        """Whether to ask the vendor ourselves (`Provider.check`), as a probe, because no message may be one.

        Only for a breaker that is not closed and which nobody of normal or low priority asks for: high priority is
        never a probe, so a provider that only carries such would stay open for ever. Report the result as a probe's.
        """
        taken, _ = await self._take(provider, Admit(1, Rank.CHECK, 0, self._local.switch(provider)))
        return bool(taken.ruling.probe)

    async def report(
        self, provider: str, outcomes: Mapping[Outcome, int], *, slow: int = 0, probe: bool = False, last: str = ""
    ) -> Change | None:
        """What came of calls (not of messages: a failed call for a thousand is one failure).

        `slow`: calls, not among `outcomes`, that took or have taken longer than `policy.slow`: they count as time-outs.
        `last`: the short code of the latest failure, for people. Only of `released` it is messages that are counted:
        that many were granted and never called. `throttled` is no failure: see `pause`.
        """
        return await self._changed(provider, Report.of(outcomes, slow, probe, last or "no code"))

    async def report_receipts(
        self, provider: str, usual: float, *, delays: Sequence[float] = (), silent: int = 0
    ) -> Change | None:
        """What came of accepted messages, `usual` being the seconds in which this vendor reports nearly all of them.

        `delays`: seconds from the vendor's yes to each receipt that came since the last report. `silent`: messages that
        passed `usual` without one since then; younger ones are never counted. An on-time receipt of a message sent
        after a breaker opened for want of receipts is what closes it again; an accepted call is not.
        """
        return await self._changed(provider, Receipts.of(usual, delays, silent))

    async def pause(self, provider: str, seconds: float) -> bool:
        """Nothing goes for so long, for all workers, then at the provider's pace. True for the one who began it."""
        taken, _ = await self._take(provider, Pause(micro(min(max(seconds, 0.0), self.policy.longest_pause))))
        if taken.ruling.fresh:
            metrics.count(metrics.PAUSES, provider)
        return bool(taken.ruling.fresh)

    async def set_operator(
        self, provider: str, switch: Switch, reason: str, weight: float | None = None
    ) -> Change | None:
        """An operator's new word. `enabled` also trusts the provider again: it closes the breaker and ends a pause."""
        operator = Operator(switch, reason, weight)
        return await self._changed(provider, Operate.of(operator, trust=switch is Switch.ENABLED))

    async def load_operators(self, operators: Mapping[str, Operator]) -> None:
        """What the ledger holds, for this process and Redis. At start and every few seconds: Redis may forget."""
        for provider, operator in operators.items():
            await self._take(provider, Operate.of(operator, trust=False))

    def last_heard(self) -> Mapping[str, View]:
        """How every provider stood when this process last asked anything about it, carried on to this moment."""
        now, states = self._local.read(tuple(self._paces))
        return {name: _view(name, state, now, local=False) for name, state in states.items()}

    async def states(self) -> Mapping[str, View]:
        """How every provider stands, in one round trip."""
        names = tuple(self._paces)
        local = True
        now, states = self._local.read(names)
        if self._lifeline.try_now():
            try:
                async with asyncio.timeout(self._limit):
                    now, found = await self._shared.read(names)
            except _GONE as error:
                self._lifeline.failed(error)
            else:
                self._lifeline.answered()
                states = {name: self._local.follow(name, now, state) for name, state in found.items()}
                local = False
        views = {name: _view(name, state, now, local) for name, state in states.items()}
        metrics.BREAKER.set({name: _GAUGE[view.breaker] for name, view in views.items()})
        metrics.PROVIDER_SWITCH.set({name: _SWITCHES[view.operator.switch] for name, view in views.items()})
        return views

    async def _changed(self, provider: str, step: Step) -> Change | None:
        taken, local = await self._take(provider, step)
        if not taken.ruling.before:
            return None
        state = taken.state
        metrics.count(metrics.BREAKER_CHANGES, provider, state.breaker)
        before = Breaker(taken.ruling.before)
        return Change(provider, before, state.breaker, state.reason, _moment(state.since), local)

    async def _take(self, provider: str, step: Step) -> tuple[Taken, bool]:
        """The step taken, and whether this process alone knows of it."""
        figures = self._figures.get(provider) or Figures.of(self.policy, UNLIMITED)
        if self._lifeline.try_now():
            try:
                async with asyncio.timeout(self._limit):
                    taken = await self._shared.take(provider, figures, step)
            except _GONE as error:
                self._lifeline.failed(error)
            else:
                self._lifeline.answered()
                return replace(taken, state=self._local.follow(provider, taken.now, taken.state)), False
        return self._local.take(provider, figures, step), True


def _admission(taken: Taken) -> Admission:
    ruling, state = taken.ruling, taken.state
    wait = max(ruling.wait / MICRO, LEAST_WAIT) if ruling.wait >= 0 else None
    reason = f"disabled: {state.switch_reason}" if ruling.reason == "disabled" else ruling.reason or None
    return Admission(ruling.granted, wait, state.breaker, bool(ruling.probe), reason)


def _view(provider: str, state: State, now: int, local: bool) -> View:
    return View(
        provider=provider,
        operator=state.operator,
        breaker=state.breaker,
        reason=state.reason or None,
        since=_moment(state.since) if state.since else None,
        probe_in=max(0, state.probe_at - now) / MICRO if state.breaker is not Breaker.CLOSED else 0.0,
        paused_for=max(0, state.paused - now) / MICRO,
        local=local,
    )


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / MICRO, UTC)

"""Gates of this process alone: what Redis last said, carried on by the same decisions while it is gone."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from throttle.decisions import decide
from throttle.policy import Figures, micro
from throttle.shared import Taken
from throttle.state import State
from throttle.steps import Step


class Local:
    """Paces and probes are each process's own: with n processes up to n times what the policy allows."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}
        self._ahead = 0  # microseconds by which Redis's clock is ahead of this host's

    def switch(self, provider: str) -> str:
        """The operator's switch as last heard; empty when never."""
        return self._states.get(provider, State()).switch

    def follow(self, provider: str, now: int, state: State) -> State:
        """Take over what Redis said; an operator's word only when it has one: it may have lost its memory."""
        self._ahead = now - micro(time.time())
        mine = self._states.get(provider)
        if mine and not state.switch:
            state = replace(state, switch=mine.switch, switch_reason=mine.switch_reason, weight=mine.weight)
        self._states[provider] = state
        return state

    def take(self, provider: str, figures: Figures, step: Step) -> Taken:
        """Take a step by Redis's clock, as far as it is known."""
        now = self._now()
        state, ruling = decide(self._states.get(provider, State()), now, figures, step)
        self._states[provider] = state
        return Taken(now, state, ruling)

    def read(self, providers: Sequence[str]) -> tuple[int, Mapping[str, State]]:
        """The time, and every provider's state as last heard."""
        return self._now(), {provider: self._states.get(provider, State()) for provider in providers}

    def _now(self) -> int:
        return micro(time.time()) + self._ahead

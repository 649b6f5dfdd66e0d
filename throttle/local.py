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

    def switch(self, provider: str) -> str:
        """The operator's switch as last heard; empty when never."""
        return self._states.get(provider, State()).switch

    def follow(self, provider: str, state: State) -> State:
        """Take over what Redis said; an operator's word only when it has one: it may have lost its memory."""
        mine = self._states.get(provider)
        if mine and not state.switch:
            state = replace(state, switch=mine.switch, switch_reason=mine.switch_reason, weight=mine.weight)
        self._states[provider] = state
        return state

    def take(self, provider: str, figures: Figures, step: Step) -> Taken:
        """Take a step with this host's clock."""
        now = micro(time.time())
        state, ruling = decide(self._states.get(provider, State()), now, figures, step)
        self._states[provider] = state
        return Taken(now, state, ruling)

    def read(self, providers: Sequence[str]) -> tuple[int, Mapping[str, State]]:
        """This host's clock and every provider's state."""
        return micro(time.time()), {provider: self._states.get(provider, State()) for provider in providers}

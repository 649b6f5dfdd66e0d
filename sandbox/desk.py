"""The rules of one vendor at work: which one applies now, with its counts, draws and buckets."""

import fnmatch
import re
import time
from random import Random

from sandbox.control import Control, Rule


class LiveRule:
    """A rule with what it remembers."""

    def __init__(self, rule: Rule, random: Random) -> None:
        self.rule = rule
        self.matches = re.compile(fnmatch.translate(rule.to.lower())).match
        self._random = random
        self._left = rule.first
        self._tokens = max(rule.rate_limit or 0.0, 1.0)
        self._refilled_at = time.monotonic()

    def draw(self) -> bool:
        """Does it apply this time? Uses up one of its `first`."""
        if self._left == 0 or (self.rule.share < 1 and self._random.random() >= self.rule.share):
            return False
        if self._left is not None:
            self._left -= 1
        return True

    def over_limit(self) -> bool:
        """Token bucket of one second's worth: is this call one too many?"""
        rate = self.rule.rate_limit
        if rate is None:
            return False
        now = time.monotonic()
        self._tokens = min(max(rate, 1.0), self._tokens + (now - self._refilled_at) * rate)
        self._refilled_at = now
        if self._tokens < 1:
            return True
        self._tokens -= 1
        return False

    def wait(self) -> float:
        """Seconds until the answer."""
        return self.rule.latency + (self._random.uniform(0, self.rule.jitter) if self.rule.jitter else 0)


class CallRules:
    """The rules as they apply to one call: a rule about calls is drawn once, however many recipients it has."""

    def __init__(self, rules: list[LiveRule]) -> None:
        self._rules = rules
        self._drawn: dict[int, bool] = {}

    def rule_for(self, address: str) -> LiveRule:
        """The first rule that matches and applies; else one that does nothing."""
        lower = address.lower()
        for index, live in enumerate(self._rules):
            if live.matches(lower) and self._applies(index, live):
                return live
        return _NOTHING

    def _applies(self, index: int, live: LiveRule) -> bool:
        if not live.rule.acts_on_calls:
            return live.draw()
        if index not in self._drawn:
            self._drawn[index] = live.draw()
        return self._drawn[index]


class Desk:
    """One vendor's settings, and its rules at work. New settings forget all counts."""

    def __init__(self, control: Control) -> None:
        self.control = control
        random = Random(control.seed)  # noqa: S311 - draws must repeat from their seed
        self._live = [LiveRule(rule, random) for rule in control.rules]

    def open_call(self) -> CallRules:
        """The rules for one call."""
        return CallRules(self._live)


_NOTHING = LiveRule(Rule(), Random(0))  # noqa: S311 - never drawn from

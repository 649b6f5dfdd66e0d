"""Reports of what became of a message, for the vendors that call back."""

import asyncio
import random
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.control import Receipt
from sandbox.desk import CallRules, LiveRule
from sandbox.messages import Message
from sandbox.postman import now_and
from sandbox.vendors.base import HttpVendor

_USUAL = Receipt()
_REPEAT_GAP = 0.3  # seconds between two posts of the same event: they shall not travel in one call
_SHUFFLE = 0.3  # seconds an event may be late when shuffled


@dataclass(frozen=True, slots=True)
class Event:
    """One report of one message, in the vendor's words. Posted again it stays the same."""

    message: Message
    content: dict[str, Any]
    generation: int
    skew: float = 0
    forged: bool = False

    @property
    def now(self) -> float:
        """The time the vendor believes it is."""
        return now_and(self.skew)


class ReportingVendor(HttpVendor):
    """A vendor that posts signed webhooks."""

    @abstractmethod
    def events(self, message: Message, receipt: Receipt, at: float) -> list[dict[str, Any]]:
        """What is reported of this message, in order. `at`: seconds since 1970."""

    @abstractmethod
    def post(self, events: list[Event]) -> None:
        """Sign these and hand them to the postman, to arrive in this order."""

    @abstractmethod
    async def post_now(self, events: list[Event]) -> None:
        """Sign these and post them before returning."""

    async def report(self, messages: Sequence[Message], live: LiveRule, rules: CallRules) -> Callable[[], None] | None:
        """See Vendor."""
        later: list[tuple[Message, Receipt, float]] = []
        for index, message in enumerate(messages):
            rule = (live if index == 0 else rules.rule_for(message.to)).rule
            receipt = rule.receipt or _USUAL
            if receipt.early and receipt.report != "none":
                await self.post_now(self._events(message, receipt, rule.clock_skew))
            elif receipt.report != "none":
                later.append((message, receipt, rule.clock_skew))
        return (lambda: self._schedule(later)) if later else None

    def _schedule(self, later: list[tuple[Message, Receipt, float]]) -> None:
        for message, receipt, skew in later:
            events = self._events(message, receipt, skew)
            for turn in range(receipt.repeat):
                delay = receipt.delay + turn * _REPEAT_GAP
                if receipt.shuffle:
                    for event in reversed(events):
                        self._post_in(delay + random.uniform(0, _SHUFFLE), [event])  # noqa: S311 - play
                else:
                    self._post_in(delay, events)

    def _post_in(self, delay: float, events: list[Event]) -> None:
        if delay:
            asyncio.get_running_loop().call_later(delay, self._post_planned, events)
        else:
            self.post(events)

    def _post_planned(self, events: list[Event]) -> None:
        current = [event for event in events if event.generation == self.shared.generation]
        if current:
            self.post(current)

    def _events(self, message: Message, receipt: Receipt, skew: float) -> list[Event]:
        contents = self.events(message, receipt, now_and(skew) + receipt.delay)
        return [Event(message, content, self.shared.generation, skew, receipt.forged) for content in contents]

"""What every vendor does with a message once it has read it: apply the rules, keep it, answer, report."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from sandbox.control import Answer, Control
from sandbox.desk import CallRules, Desk, LiveRule
from sandbox.messages import Message
from sandbox.shared import Shared
from sandbox.web import Call, Reply

A = TypeVar("A")  # how this vendor answers: a Reply, or a line of SMTP


@dataclass(frozen=True, slots=True)
class Turn(Generic[A]):
    """How a call ends."""

    answer: A | None  # None: it is never answered
    cut: bool = False  # break off in the middle of the answer
    after: Callable[[], None] | None = None  # what follows once the answer is out


class Vendor(ABC, Generic[A]):
    """One vendor with its rules."""

    name: ClassVar[str]
    control_type: ClassVar[type[Control]] = Control

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.desk = Desk(self.control_type())

    @abstractmethod
    def refusal(self, answer: Answer) -> A:
        """An error answer in the vendor's format."""

    async def take(self, messages: Sequence[Message], accepted: A) -> Turn[A]:
        """Play one well-formed call of one or more messages, answered by `accepted` if no rule speaks against it."""
        rules = self.desk.open_call()
        live = rules.rule_for(messages[0].to)
        refusal = self.refused_by(live)
        if refusal is None:
            return await self.accept(messages, accepted, live, rules)
        await asyncio.sleep(live.wait())
        return Turn(refusal)

    async def accept(self, messages: Sequence[Message], accepted: A, live: LiveRule, rules: CallRules) -> Turn[A]:
        """Keep and report the messages of a call that is not refused. `live` is the first message's rule."""
        if live.rule.hang == "before":
            return Turn(None)
        for message in messages:
            self.shared.journal.append(self.name, message)
        after = await self.report(messages, live, rules)
        if wait := live.wait():
            await asyncio.sleep(wait)
        return Turn(None if live.rule.hang else accepted, live.rule.reset, after)

    def refused_by(self, live: LiveRule) -> A | None:
        """The error answer this rule wants for this call, counted."""
        answer = Answer(status=429) if live.over_limit() else live.rule.answer
        if answer is None:
            return None
        self.shared.refused[self.name] += 1
        return self.refusal(answer)

    async def report(self, messages: Sequence[Message], live: LiveRule, rules: CallRules) -> Callable[[], None] | None:
        """Post what is to be posted early; return what posts the rest. `live` is the first message's rule."""
        return None


class Refused(Exception):
    """The call is not acceptable; the vendor's own error answer says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


class HttpVendor(Vendor[Reply]):
    """A vendor with an HTTP interface below `/{name}`."""

    async def turn(self, call: Call) -> Turn[Reply]:
        """Answer one call."""
        try:
            return await self.route(call)
        except Refused as refused:
            self.shared.refused[self.name] += 1
            return Turn(refused.reply)

    @abstractmethod
    async def route(self, call: Call) -> Turn[Reply]:
        """Do what the call asks for. Raises Refused."""

"""What the tests of activities share: the type of their workbench, and providers."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from activities.sending import Means
from domain.messages import Card, Message
from domain.outcomes import Answer, accepted
from providers.base import Provider

Bench = Callable[[Mapping[str, Provider]], AbstractAsyncContextManager[Means]]


class Silent(Provider):
    """Takes everything and says nothing more."""

    card = Card("silent", "sms")

    async def send(self, messages: Sequence[Message], timeout: float) -> Sequence[Answer]:
        """Yes."""
        return [accepted(str(message.key)) for message in messages]

    async def check(self) -> str:
        """Always well."""
        return "here"

"""How the providers stand, kept fresh in this process, and the roads that follow for messages of a channel."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Never

from domain.channels import Channel
from domain.operators import Operator, Switch
from domain.priorities import Priority
from domain.settling import Roads
from observe import logs, metrics
from throttle.gate import Gate
from throttle.routing import probes_due, route_now, working
from throttle.words import Breaker, View

log = logs.get(__name__)

EVERY = 0.5  # seconds between two readings of the gates; a chunk of messages asks its own gate besides
_OPERATORS_EVERY = 4  # readings between two of what the ledger holds of operators


class Standing:
    """One per process."""

    def __init__(
        self,
        gate: Gate,
        operators: Callable[[], Awaitable[Mapping[str, Operator]]],
        channels: Iterable[Channel] = (),
    ) -> None:
        """`operators` reads the operators' words from the ledger; what it raises is logged and asked again.

        `channels`: whose working providers the metrics count.
        """
        self._gate, self._operators, self._channels = gate, operators, tuple(channels)

    async def keep(self) -> Never:
        """Read again and again. Run it as a task."""
        n = 0
        while True:
            if n % _OPERATORS_EVERY == 0:
                await self._load_operators()
            views = await self._gate.states()
            metrics.WORKING.set({one.name: len(working(one.route, views)) for one in self._channels})
            n += 1
            await asyncio.sleep(EVERY)

    def roads(self, channel: Channel, priority: Priority) -> Roads:
        """How the channel's route stands now for messages of this priority."""
        views = self._gate.last_heard()
        order = route_now(channel.route, views, random.random(), channel.weights)  # noqa: S311 - a share, no secret
        held = {
            name: _held(views[name], priority) for name in channel.route if name in views and _takes_none(views[name])
        }
        return Roads(order, held)

    def first(self, channel: Channel) -> str:
        """The provider new messages are queued for now.

        When an operator has stopped all, it is one that is disabled: they wait there. Where all are only drained there
        is no place to wait, and they are queued for the first.
        """
        order = self.roads(channel, Priority.NORMAL).order
        return order[0] if order else _to_wait_at(channel.route, self._gate.last_heard())

    def to_probe(self, channel: Channel, sender: str) -> tuple[str, ...]:
        """Other providers than `sender` that a message may be tried with, if their gate grants it."""
        return tuple(name for name in probes_due(channel.route, self._gate.last_heard()) if name != sender)

    async def _load_operators(self) -> None:
        # The ledger is written before the gates, so whatever differs from what was heard before it was read is newer:
        # an old word read here can never undo a new one.
        heard = self._gate.last_heard()
        try:
            words = await self._operators()
            news = {name: word for name, word in words.items() if name in heard and heard[name].operator != word}
            await self._gate.load_operators(news)
        except Exception as error:
            log.warning("standing.operators_unread", error=type(error).__name__)


def _to_wait_at(route: Sequence[str], views: Mapping[str, View]) -> str:
    disabled = (name for name in route if name in views and views[name].operator.switch is Switch.DISABLED)
    return next(disabled, route[0])


def _takes_none(view: View) -> bool:
    """Whether nothing goes to it now. One that is drained still sends what is queued for it."""
    return view.operator.switch is Switch.DISABLED or view.breaker is not Breaker.CLOSED or view.paused_for > 0


def _held(view: View, priority: Priority) -> float | None:
    """Seconds until asking makes sense."""
    if view.operator.switch is Switch.DISABLED:
        return None
    if view.breaker is not Breaker.CLOSED:
        # High priority is never a probe: it waits for those of others, or for a check.
        return None if priority is Priority.HIGH else max(view.probe_in, view.paused_for)
    return view.paused_for

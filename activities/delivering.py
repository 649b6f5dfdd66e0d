"""The activities of a run: deliver, settle, and what an operator's signal asks for."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID, uuid4

from temporalio import activity

from activities.sending import Means, Sending
from domain.channels import Channels
from domain.runs import DELIVER, DISCARD, RETRY, SETTLE, Delivery, Look, Order, State
from domain.settling import Move, Rules
from ledger import dead_letters
from ledger.deliveries import Leg, abandon
from ledger.settling import settle
from observe import metrics

_HEARTBEAT = 2.0  # seconds; see domain.runs.silence_of


class Activities:
    """Everything a run may ask of a worker."""

    def __init__(self, means: Means, channels: Channels) -> None:
        self._means, self._channels = means, channels
        cards = [provider.card for provider in means.providers.values()]
        self._repeats = tuple(card.name for card in cards if card.idempotent_for)
        self._lookups = tuple(card.name for card in cards if card.lookup)

    @activity.defn(name=DELIVER)
    async def deliver(self, order: Delivery) -> State:
        """Send what is due through one provider, then say how the channel stands."""
        channel = self._channels[order.channel]
        provider = self._means.providers.get(order.provider)
        leg = Leg(UUID(order.batch), channel, order.provider, order.priority, uuid4())
        held = None
        if provider is None:
            # It is no longer set up. What it left in `sending` nobody will answer for; settle moves the rest on.
            await abandon(self._means.db, leg)
        else:
            async with _alive():
                held = await Sending(self._means, leg, provider, activity.is_worker_shutdown, order.owner).run()
            # Else settle might leave for a vendor that wants rest what another would take, until the run's next look.
            await self._means.tally.report()
        state = await self.settle(Look(order.batch, order.channel, order.priority))
        return state if held is None else _without(state, order.provider, held)

    @activity.defn(name=SETTLE)
    async def settle(self, look: Look) -> State:
        """Move what cannot go on as it is; say what is due and when to look again."""
        channel = self._channels[look.channel]
        roads = self._means.standing.roads(channel, look.priority)
        rules = Rules(channel, look.priority, roads, self._repeats, self._lookups)
        settled = await settle(self._means.db, UUID(look.batch), rules)
        _count(channel.name, settled.moves)
        return settled.state

    @activity.defn(name=RETRY)
    async def retry(self, order: Order) -> int:
        """Queue dead letters again. Returns how many."""
        found = await dead_letters.retry(self._means.db, self._channels, dead_letters.of_run(order), order.provider)
        return found.moved

    @activity.defn(name=DISCARD)
    async def discard(self, order: Order) -> int:
        """Give dead letters up. Returns how many."""
        return (await dead_letters.discard(self._means.db, dead_letters.of_run(order))).moved


def _without(state: State, provider: str, held: float) -> State:
    """The same, but for a provider that has just said that nothing goes now, whatever settle thought of it."""
    due = [name for name in state.due if name != provider]
    if due == state.due:
        return state
    return replace(state, due=due, held=held if state.held is None else min(held, state.held))


def _count(channel: str, moves: Sequence[tuple[str | None, Move]]) -> None:
    for left, move in moves:
        if move.afresh and left:
            metrics.count(metrics.FALLBACKS, channel, left)


@asynccontextmanager
async def _alive() -> AsyncGenerator[None]:
    """Heartbeats while the block runs; none for one that is over in a moment."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT)
            activity.heartbeat()

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()

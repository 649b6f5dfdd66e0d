"""How the providers stand, as the API shows it."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from api.parts import Parts
from domain.channels import Channel
from domain.messages import Card
from domain.operators import Switch
from ledger import provider_switches
from ledger.provider_switches import Said
from providers.registry import provider_classes
from throttle.policy import Pace
from throttle.routing import working
from throttle.words import Breaker, View


class OperatorOut(BaseModel):
    """What operators want of it. Nobody has said anything yet: `enabled`, and null for the rest."""

    switch: Switch = Field(description="draining: no new messages, what is queued for it still goes")
    reason: str | None = None
    weight: float | None = None
    changed_at: datetime | None = None
    changed_by: str | None = None


class BreakerOut(BaseModel):
    """Its circuit breaker. `reason` and `since` are of the last change."""

    state: Breaker
    reason: str | None
    since: datetime | None
    probe_in: float | None = Field(description="seconds until the next probe may go; null while closed")


class PaceOut(BaseModel):
    """How fast it may be called: messages a second, and at once. Nulls: as many as come."""

    rate: float | None
    burst: int | None


class ProviderOut(BaseModel):
    """One installed provider. What is not set up has no breaker and no pace."""

    provider: str
    channel: str
    place: int | None = Field(description="in the channel's route, from 1; null: not in it")
    set_up: bool
    missing: str | None = Field(description="why it is not set up")
    receipts: bool = Field(description="whether the vendor reports deliveries")
    operator: OperatorOut
    weight: float | None = Field(description="in force: the operator's, else the channel's; null: by order")
    breaker: BreakerOut | None
    paused_for: float = Field(description="seconds left of the pause the vendor asked for")
    pace: PaceOut | None
    local: bool = Field(description="Redis is gone: this is what one process knows")
    takes_new: bool = Field(description="whether new messages are routed to it")


class ConditionOut(BaseModel):
    """What keeps messages from a provider, if anything does."""

    state: Literal["ok", "open", "half_open", "paused", "draining", "disabled"]
    reason: str | None = None
    since: datetime | None = None


async def every_provider(parts: Parts) -> list[ProviderOut]:
    """All installed, channel by channel in the order of the route. Raises LedgerUnavailable."""
    views, said = await asyncio.gather(parts.gates.gate.states(), provider_switches.said(parts.db))
    cards = {name: provider.card for name, provider in parts.providers.items()}
    cards |= {name: provider_classes()[name].card for name in parts.left_out}
    shown = [_shown(parts, card, views.get(name), said.get(name)) for name, card in cards.items()]
    return sorted(shown, key=lambda one: (one.channel, one.place or len(cards) + 1, one.provider))


def without_provider(channels: Mapping[str, Channel], views: Mapping[str, View]) -> list[str]:
    """Channels of which no provider takes new messages now."""
    return [name for name, channel in channels.items() if not working(channel.route, views)]


def condition(view: View, said: Said | None) -> ConditionOut:
    """How a provider stands in a word, the strongest obstacle first. `said`: for the time of the operator's word."""
    word = view.operator.switch
    stopped = ConditionOut(
        state="disabled" if word is Switch.DISABLED else "draining",
        reason=view.operator.reason,
        since=said.changed_at if said else None,
    )
    if word is Switch.DISABLED:
        return stopped
    if view.breaker is not Breaker.CLOSED:
        return ConditionOut(state=view.breaker.value, reason=view.reason, since=view.since)
    if view.paused_for:
        return ConditionOut(state="paused", reason=f"the vendor asked for rest: {view.paused_for:.0f} s left")
    return stopped if word is Switch.DRAINING else ConditionOut(state="ok")


def _shown(parts: Parts, card: Card, view: View | None, said: Said | None) -> ProviderOut:
    """`view`: only of one that is set up."""
    channel = parts.channels.get(card.channel)
    route = channel.route if channel else ()
    operator = _operator(said)
    policy = channel.weights.get(card.name) if channel else None
    return ProviderOut(
        provider=card.name,
        channel=card.channel,
        place=route.index(card.name) + 1 if card.name in route else None,
        set_up=card.name in parts.providers,
        missing=parts.left_out.get(card.name),
        receipts=card.receipts,
        operator=operator,
        weight=policy if operator.weight is None else operator.weight,
        breaker=_breaker(view) if view else None,
        paused_for=round(view.paused_for, 3) if view else 0.0,
        pace=_pace(parts.gates.gate.pace(card.name)) if view else None,
        local=view.local if view else False,
        takes_new=view.takes_new and card.name in route if view else False,
    )


def _operator(said: Said | None) -> OperatorOut:
    if said is None:
        return OperatorOut(switch=Switch.ENABLED)
    word = said.operator
    return OperatorOut(
        switch=word.switch,
        reason=word.reason or None,
        weight=word.weight,
        changed_at=said.changed_at,
        changed_by=said.changed_by,
    )


def _breaker(view: View) -> BreakerOut:
    probe_in = None if view.breaker is Breaker.CLOSED else round(view.probe_in, 3)
    return BreakerOut(state=view.breaker, reason=view.reason, since=view.since, probe_in=probe_in)


def _pace(pace: Pace) -> PaceOut:
    return PaceOut(rate=pace.rate, burst=None if pace.rate is None else pace.size)

"""`POST /providers/{name}/…`: an operator's word on a provider, kept in the ledger and obeyed by all at once."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.access import HasParts, Operating, RequestId, by
from api.documented import problems
from api.parts import Parts
from api.problems import Problem
from api.standing import ProviderOut, every_provider
from domain.channels import Channel
from domain.operators import Operator, Switch, Word
from ledger import provider_events, provider_switches, sweeping
from ledger.audit import By
from ledger.provider_events import BREAKER, Event
from ledger.recovery import recovered
from observe import logs
from throttle.routing import working
from throttle.words import Change, View

router = APIRouter(tags=["providers"], prefix="/providers/{name}")
log = logs.get(__name__)

_UNSAID = "no reason given"
_PROBLEMS = problems(401, 403, 404, 413, 422, 503)


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    return text


Name = Annotated[str, Path(description="a provider that is set up", examples=["sendgrid"])]
Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_one_line)
]
Weight = Annotated[float, Field(ge=0, le=1000, strict=True, allow_inf_nan=False)]


class StopIn(BaseModel):
    """Why, for those who read it at night; and a weight, if that shall change too."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason
    weight: Weight | None = Field(default=None, description="null: as it is")


class EnableIn(BaseModel):
    """The same; here nobody has to say why."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = _UNSAID
    weight: Weight | None = Field(default=None, description="null: as it is")


class WeightIn(BaseModel):
    """Its part of new messages against the others of the route."""

    model_config = ConfigDict(extra="forbid")

    weight: Weight | None = Field(description="0: only when no other works; null: none of its own")
    reason: Reason = _UNSAID


class SteeredOut(ProviderOut):
    """The provider as it now stands."""

    warning: str | None = Field(description="what follows for its channel, if it is bad")


@router.post("/disable", operation_id="disableProvider", responses=_PROBLEMS)
async def disable(parts: HasParts, who: Operating, request: RequestId, name: Name, body: StopIn) -> SteeredOut:
    """Nothing goes to it any more. What is queued for it moves on, or waits when there is no other."""
    return await _steer(parts, by(who, request), name, Word(body.reason, Switch.DISABLED, body.weight))


@router.post("/drain", operation_id="drainProvider", responses=_PROBLEMS)
async def drain(parts: HasParts, who: Operating, request: RequestId, name: Name, body: StopIn) -> SteeredOut:
    """No new messages for it. What is queued for it still goes."""
    return await _steer(parts, by(who, request), name, Word(body.reason, Switch.DRAINING, body.weight))


@router.post("/enable", operation_id="enableProvider", responses=_PROBLEMS)
async def enable(
    parts: HasParts, who: Operating, request: RequestId, name: Name, body: EnableIn | None = None
) -> SteeredOut:
    """Messages go to it again. It is trusted: its breaker closes, a pause ends, and what waited for it goes."""
    said = body or EnableIn()
    return await _steer(parts, by(who, request), name, Word(said.reason, Switch.ENABLED, said.weight))


@router.post("/weight", operation_id="weighProvider", responses=_PROBLEMS)
async def weigh(parts: HasParts, who: Operating, request: RequestId, name: Name, body: WeightIn) -> SteeredOut:
    """Change its part of new messages, and nothing else."""
    word = Word(body.reason, weight=body.weight, by_order=body.weight is None)
    return await _steer(parts, by(who, request), name, word)


async def _steer(parts: Parts, by: By, name: str, word: Word) -> SteeredOut:
    """The ledger first, which is what lasts; then the gate, which is what all processes ask."""
    channel = _channel_of(parts, name)
    operator = (await provider_switches.say(parts.db, name, word, by)).operator
    log.warning("provider.steered", provider=name, switch=operator.switch.value, weight=operator.weight, by=by.actor)
    change = await _told(parts, name, word, operator)
    if change is not None:
        await provider_events.write(parts.db, Event(kind=BREAKER, **asdict(change)))
        await recovered(parts.db, parts.channels, name, change.at, parts.settings.redrive)
    elif word.switch is Switch.ENABLED:
        await sweeping.release(parts.db, channel)
    shown = next(one for one in await every_provider(parts) if one.provider == name)
    warning = _warning(parts.channels.get(channel), parts.gates.gate.last_heard())
    return SteeredOut(**shown.model_dump(), warning=warning)


def _channel_of(parts: Parts, name: str) -> str:
    """Raises Problem 404."""
    if name not in parts.providers:
        raise Problem("not_found", f"No such provider is set up; there are {', '.join(parts.providers)}.")
    return parts.providers[name].card.channel


async def _told(parts: Parts, name: str, word: Word, operator: Operator) -> Change | None:
    """Tell the gate; the change, if that closed its breaker."""
    gate = parts.gates.gate
    if word.switch is not None:
        return await gate.set_operator(name, operator.switch, operator.reason, operator.weight)
    await gate.load_operators({name: operator})  # trusts nobody again
    return None


def _warning(channel: Channel | None, views: Mapping[str, View]) -> str | None:
    if channel is None or working(channel.route, views):
        return None
    stopped = [views[name].operator.switch for name in channel.route]
    if all(switch is Switch.DRAINING for switch in stopped):
        return f"all providers of {channel.name} are draining: new messages still go to {channel.route[0]}"
    return f"no provider of {channel.name} takes messages now"

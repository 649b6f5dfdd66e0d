"""Finds what is installed: providers by `clarion.providers`, channels by `clarion.channels`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib.metadata import entry_points
from math import inf
from types import MappingProxyType
from typing import Any

from domain.channels import Channel, Channels, Then, by_priority
from domain.priorities import Priority
from observe import logs
from providers.base import Provider
from settings import SettingsError

log = logs.get(__name__)

_CHANGEABLE = frozenset({field.name for field in fields(Channel)} - {"name", "address", "parse_address"})


@dataclass(frozen=True, slots=True)
class Installed:
    """What this process can send by. Routes hold only providers that are set up; a channel without any is left out."""

    channels: Channels
    providers: Mapping[str, Provider]
    left_out: Mapping[str, str]  # installed and not set up: what is missing, by provider

    async def close(self) -> None:
        """Give back every provider's connections."""
        for provider in self.providers.values():
            await provider.close()


@cache
def provider_classes() -> Mapping[str, type[Provider]]:
    """Every installed provider class by its card's name."""
    classes: list[type[Provider]] = [point.load() for point in entry_points(group="clarion.providers")]
    return MappingProxyType({cls.card.name: cls for cls in sorted(classes, key=lambda cls: cls.card.name)})


@cache
def channels() -> Channels:
    """Every installed channel by name, with its policy as declared."""
    found: list[Channel] = [point.load() for point in entry_points(group="clarion.channels")]
    return MappingProxyType({channel.name: channel for channel in sorted(found, key=lambda channel: channel.name)})


def installed(changes: Mapping[str, Mapping[str, Any]]) -> Installed:
    """Providers that are set up, and channels with the operator's changes. Raises SettingsError."""
    providers: dict[str, Provider] = {}
    left_out: dict[str, str] = {}
    for name, cls in provider_classes().items():
        try:
            providers[name] = cls()
        except SettingsError as missing:
            left_out[name] = str(missing)
            log.info("provider.left_out", provider=name, why=str(missing))
    unknown = changes.keys() - channels().keys()
    if unknown:
        raise SettingsError(f"CLARION_CHANNELS: no channel {min(unknown)!r}; there are {', '.join(channels())}")
    changed = [_changed(channel, changes.get(name, {})) for name, channel in channels().items()]
    routed = [replace(channel, route=tuple(p for p in channel.route if p in providers)) for channel in changed]
    return Installed({channel.name: channel for channel in routed if channel.route}, providers, left_out)


def _changed(channel: Channel, changes: Mapping[str, Any]) -> Channel:
    wrong = changes.keys() - _CHANGEABLE
    if wrong:
        raise SettingsError(
            f"CLARION_CHANNELS: {channel.name} has no {min(wrong)!r}; there are {', '.join(sorted(_CHANGEABLE))}"
        )
    try:
        return replace(channel, **{name: _value(name, value) for name, value in changes.items()})
    except (TypeError, ValueError, KeyError) as error:
        raise SettingsError(f"CLARION_CHANNELS: {channel.name}: {error}") from None


def _value(name: str, value: Any) -> Any:
    """A policy's field from its JSON form."""
    match name:
        case "route":
            return tuple(_known(provider) for provider in value)
        case "retry":
            return tuple(float(pause) for pause in value)
        case "silence" | "doubtful":
            return Then(value)
        case "doubt" | "timeout" | "patience":
            seconds: dict[str, Any] = value if isinstance(value, dict) else dict.fromkeys(Priority, value)
            return by_priority(**{str(priority): float(each) for priority, each in seconds.items()})
        case "weights":
            weights = {_known(provider): float(weight) for provider, weight in value.items()}
            if not all(0 <= weight < inf for weight in weights.values()):
                raise ValueError("a weight is 0 or more")
            return weights
        case _:
            return float(value)


def _known(provider: str) -> str:
    if provider not in provider_classes():
        raise ValueError(f"no provider {provider!r}; there are {', '.join(provider_classes())}")
    return provider

"""Finds what is installed: providers by `clarion.providers`, channels by `clarion.channels`."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType

from domain.channels import Channel, Channels
from providers.base import Provider


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

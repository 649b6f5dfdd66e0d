"""How fast each provider may be called: what its card says, or what the settings say instead."""

from collections.abc import Iterable, Mapping
from typing import Any

from domain.messages import Card
from settings import SettingsError
from throttle.policy import Pace


def paces(cards: Iterable[Card], changes: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Pace]:
    """A pace for every card. `changes` as in CLARION_PROVIDERS. Raises SettingsError."""
    found = {card.name: Pace(card.rate) for card in cards}
    for name, change in changes.items():
        if name not in found:
            raise SettingsError(f"CLARION_PROVIDERS: no provider {name!r} is set up; there are {', '.join(found)}")
        found[name] = _changed(name, change)
    return found


def _changed(name: str, change: Mapping[str, Any]) -> Pace:
    wrong = change.keys() - {"rate", "burst"}
    if wrong:
        raise SettingsError(f"CLARION_PROVIDERS: {name} has no {min(wrong)!r}; there are rate, burst")
    try:
        rate, burst = change.get("rate"), change.get("burst")
        return Pace(None if rate is None else float(rate), None if burst is None else int(burst))
    except (TypeError, ValueError) as error:
        raise SettingsError(f"CLARION_PROVIDERS: {name}: {error}") from None

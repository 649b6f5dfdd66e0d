"""The table of providers: as the API tells it, or, without one, what is installed and set up here."""

from collections.abc import Sequence
from typing import Any

from cli import moments, output

_COLUMNS = ("provider", "channel", "place", "state", "switch", "breaker", "weight", "paused")


def show(found: Sequence[dict[str, Any]]) -> None:
    """One line for each, as `GET /providers` has it."""
    output.table(_COLUMNS, [_row(one) for one in found], none="No providers.")
    if any(one["local"] for one in found):
        output.note("The API does not reach Redis: this is what one of its processes knows.")


def installed_here() -> list[dict[str, Any]]:
    """The same by this machine's settings; how they stand is null. Raises SettingsError."""
    import asyncio

    from cli import here
    from observe import logs
    from providers.registry import installed, provider_classes

    logs.configure("error", "text")
    ready = installed(here.operator_settings().channels)
    asyncio.run(ready.close())
    found: list[dict[str, Any]] = []
    for name, cls in provider_classes().items():
        channel = ready.channels.get(cls.card.channel)
        route = channel.route if channel else ()
        found.append(
            {
                "provider": name,
                "channel": cls.card.channel,
                "place": route.index(name) + 1 if name in route else None,
                "set_up": name in ready.providers,
                "missing": ready.left_out.get(name),
                "receipts": cls.card.receipts,
                "weight": channel.weights.get(name) if channel else None,
                **dict.fromkeys(("operator", "breaker", "paused_for", "pace", "local", "takes_new")),
            }
        )
    return sorted(found, key=lambda one: (one["channel"], one["place"] or len(found) + 1))


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        one["provider"],
        one["channel"],
        str(one["place"] or "-"),
        "set up" if one["set_up"] else one["missing"],
        _switch(one["operator"]),
        _breaker(one["breaker"]),
        "-" if one["weight"] is None else f"{one['weight']:g}",
        f"{one['paused_for']:.0f} s" if one["paused_for"] else "-",
    )


def _switch(operator: dict[str, Any] | None) -> str:
    if operator is None:
        return "-"
    return operator["switch"] if operator["switch"] == "enabled" else f"{operator['switch']}: {operator['reason']}"


def _breaker(breaker: dict[str, Any] | None) -> str:
    if breaker is None:
        return "-"
    state = breaker["state"].replace("_", " ")
    if breaker["state"] == "closed" or breaker["since"] is None:
        return state
    return f"{state} for {moments.lasting(breaker['since'])}: {breaker['reason']}"

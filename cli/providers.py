"""`clarion providers`: what is installed, and what of it is set up."""

from typing import Annotated

import typer

from cli import here, options, output


def providers(
    *,
    channel: Annotated[str | None, typer.Option(metavar="NAME", help="Of this channel only.")] = None,
    as_json: options.Json = False,
) -> None:
    """List installed providers, and what each still lacks."""
    import asyncio

    from cli.doctor.vendors import why_not
    from observe import logs
    from providers.registry import installed, provider_classes

    logs.configure("error", "text")
    ready = installed(here.operator_settings().channels)
    asyncio.run(ready.close())
    found = []
    for name, cls in provider_classes().items():
        route = ready.channels[cls.card.channel].route if cls.card.channel in ready.channels else ()
        found.append(
            {
                "provider": name,
                "channel": cls.card.channel,
                "place": route.index(name) + 1 if name in route else None,
                "receipts": cls.card.receipts,
                "missing": None if name in ready.providers else why_not(name),
            }
        )
    found = [one for one in found if channel in {None, one["channel"]}]
    found.sort(key=lambda one: (one["channel"], one["place"] or len(found)))
    if as_json:
        output.document(found)
        return
    rows = [
        (
            one["provider"],
            one["channel"],
            str(one["place"] or "-"),
            "yes" if one["receipts"] else "no",
            one["missing"] or "set up",
        )
        for one in found
    ]
    output.table(("provider", "channel", "place in route", "receipts", "state"), rows, none="No providers.")

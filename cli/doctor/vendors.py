"""Looks at the providers: which are set up, which channels they carry, and whether vendors know our credentials."""

from collections.abc import AsyncIterator, Callable

from cli.doctor.findings import Finding, look, ok, wrong
from settings import Settings, SettingsError


def providers(settings: Settings) -> Callable[[], AsyncIterator[Finding]]:
    """Every channel has a provider that is set up."""

    async def check() -> AsyncIterator[Finding]:
        from providers.registry import channels, installed

        here = installed(settings.channels)
        try:
            for name in channels():
                yield _channel(name, here.channels[name].route if name in here.channels else ())
            for name, missing in here.left_out.items():
                yield look(name, "not set up", missing)
        finally:
            await here.close()

    return check


def _channel(name: str, route: tuple[str, ...]) -> Finding:
    if not route:
        return wrong(f"channel {name}", "no provider is set up", "Set one up: docs/providers.md has the settings.")
    return ok(f"channel {name}", f"goes by {', then '.join(route)}")


def credentials(name: str) -> Callable[[], AsyncIterator[Finding]]:
    """The vendor lets us in. Sends nothing."""

    async def check() -> AsyncIterator[Finding]:
        from providers.registry import provider_classes

        try:
            provider = provider_classes()[name]()
        except SettingsError as missing:
            yield wrong(name, "not set up", str(missing))
            return
        try:
            yield ok(name, await provider.check())
        except SettingsError as refused:
            yield wrong(name, str(refused), "Correct the setting, or the account at the vendor.")
        finally:
            await provider.close()

    return check

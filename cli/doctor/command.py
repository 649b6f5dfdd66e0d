"""The command `clarion doctor`: which parts are looked at, and the table of what was found."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli import here, options, output
from cli.doctor.findings import Finding, State, found_by, look, ok, wrong
from cli.doctor.ledger import ledger
from cli.errors import FAILED

if TYPE_CHECKING:
    from settings import Settings

app = typer.Typer()
app.command()(ledger)


@app.callback(invoke_without_command=True)
def doctor(
    context: typer.Context,
    *,
    provider: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Only ask this vendor whether our credentials work. Repeatable; `all` for each set up."
        ),
    ] = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Look at every part and say what to do. Exit code 1 if anything is wrong.

    \b
    Examples:
      clarion doctor
      clarion doctor --provider sendgrid --provider twilio
      clarion doctor ledger
    """
    if context.invoked_subcommand:
        return
    from observe import logs

    logs.configure("error", "text")
    findings = asyncio.run(_credentials(provider) if provider else _everything(here.api_url(url)))
    if as_json:
        output.document([asdict(finding) for finding in findings])
    else:
        rows = [(finding.part, finding.state.value, finding.told, finding.todo) for finding in findings]
        output.table(("part", "state", "found", "what to do"), rows, none="Nothing was looked at.")
    if any(finding.state is State.WRONG for finding in findings):
        raise typer.Exit(FAILED)


async def _everything(url: str) -> Sequence[Finding]:
    from cli.doctor import servers, temporal, vendors
    from providers.registry import channels, installed
    from settings import SettingsError
    from workers.queues import every_queue

    try:
        settings = here.operator_settings()
        await installed(settings.channels).close()
    except SettingsError as error:
        return [wrong("settings", str(error), "Correct it; .env.example describes every setting.")]
    checks = (
        ("PostgreSQL", servers.postgresql(settings), "Start it, or correct CLARION_DATABASE_URL."),
        ("Redis", servers.redis(settings), "Start it, or correct CLARION_REDIS_URL; until then limits are weaker."),
        ("Temporal", temporal.temporal(settings, every_queue(channels())), "Start it; until then messages wait."),
        ("API", servers.api(url), "Start it with `clarion api`, or say where it is with --url or CLARION_URL."),
        ("providers", vendors.providers(settings), "docs/providers.md has the settings."),
    )
    found = await asyncio.gather(*(found_by(*check) for check in checks))
    await asyncio.sleep(0.25)  # Temporal's threads come to rest: an interpreter that ends under them crashes
    secret = settings.secret_key.get_secret_value() or settings.dev
    first = ok("settings", "can be read") if secret else _no_secret()
    return [first, _keys(settings), *(finding for findings in found for finding in findings)]


async def _credentials(names: Sequence[str]) -> Sequence[Finding]:
    from cli.doctor import vendors
    from providers.registry import installed, provider_classes

    settings = here.operator_settings()
    known = provider_classes()
    if unknown := [name for name in names if name not in {*known, "all"}]:
        raise typer.BadParameter(f"no provider {unknown[0]!r}; there are {', '.join(known)}", param_hint="--provider")
    if "all" in names:
        ready = installed(settings.channels)
        await ready.close()
        names = sorted(ready.providers)
    todo = "Is the vendor's address right, and can this machine reach it?"
    found = await asyncio.gather(*(found_by(name, vendors.credentials(name), todo) for name in names))
    return [finding for findings in found for finding in findings]


def _keys(settings: "Settings") -> Finding:
    from ledger.keyring import keyring_of
    from settings import SettingsError

    try:
        ids = keyring_of(settings).ids
    except SettingsError as error:
        return wrong("encryption", str(error), "API and workers do not start without it: docs/security.md says more.")
    return ok("encryption", f"{ids[0]} seals; `clarion secrets status` says what each key is needed for")


def _no_secret() -> Finding:
    told = "CLARION_SECRET_KEY is empty: fingerprints of idempotent requests can be guessed"
    return look("settings", told, "Set it to a long random text, the same for all API processes.")

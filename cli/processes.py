"""Commands that run Clarion's own processes: dev, api, worker, migrate."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli import here
from cli.errors import Failure

if TYPE_CHECKING:
    from settings import Settings

# Imports stand inside the commands: `clarion status` shall not load a workflow engine, nor `clarion dev` an API.


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (dev, api, worker, migrate):
        app.command()(command)


def dev() -> None:
    """Run everything on this machine until Ctrl-C.

    That is PostgreSQL, Valkey, Temporal, the sandbox vendors, the API and the workers.
    Each server can be one of your own: set CLARION_DATABASE_URL, CLARION_REDIS_URL or CLARION_TEMPORAL_ADDRESS.
    State is kept in .clarion/ (CLARION_DATA_DIR).
    """
    from observe import logs
    from settings import Settings
    from workers.embedded.dev import run_dev
    from workers.embedded.dev_key import dev_key

    settings = Settings.load()
    logs.configure(settings.log_level, settings.log_format)
    sys.exit(asyncio.run(run_dev(settings, key_of=dev_key)))


def api(
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address to listen on [CLARION_HOST].")] = None,
    port: Annotated[int | None, typer.Option(metavar="PORT", help="Port to listen on [CLARION_PORT].")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Serve Prometheus metrics here too, without a key.")
    ] = None,
) -> None:
    """Run one API process. Start as many as you like on one database."""
    from api.server import serve
    from observe.process import run
    from settings import Settings

    settings = _process("api", Settings.load())
    changed = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    run(serve(settings.model_copy(update=changed), metrics_port=metrics_port))


def worker(
    queues: Annotated[
        str, typer.Option(metavar="NAMES", help="Names, globs (`*-high`), groups (all, high, rest).")
    ] = "all",
    metrics_port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Serve Prometheus metrics here, on CLARION_HOST.")
    ] = None,
) -> None:
    """Run one worker process for some task queues.

    At SIGTERM it finishes what it has claimed.
    """
    from observe.process import run
    from workers.worker import serve_queues

    settings = _process("worker", here.operator_settings())
    run(serve_queues(settings, queues, metrics_port=metrics_port))


def migrate() -> None:
    """Prepare the database and Temporal for this version.

    In the database that is its tables, and the roles our processes take; in Temporal the namespace, its retention,
    search attributes and schedules. Repeating it is harmless.
    """
    from ledger.granting import RolesMissing
    from ledger.migrate import migrate as migrate_database
    from runs import connect
    from runs.prepare import prepare

    settings = _process("migrate", here.operator_settings())

    async def both() -> str:
        revision = await migrate_database(settings.required("database_url"))
        client = await connect(settings)
        await prepare(client)
        await asyncio.sleep(0.25)
        return revision

    try:
        revision = asyncio.run(both())
    except RolesMissing as error:
        raise Failure(str(error)) from None
    typer.echo(f"database at revision {revision}, Temporal namespace {settings.temporal_namespace} prepared")


def _process(service: str, settings: "Settings") -> "Settings":
    """The same, with logs and traces set up as they say."""
    from observe import logs, traces
    from settings import tls

    tls.check(settings)
    logs.configure(settings.log_level, settings.log_format)
    traces.configure(f"clarion-{service}")
    return settings

"""The entrance: puts the commands together, and turns what goes wrong into one clear line and an exit code."""

import sys

import typer
from typer.exceptions import Abort, TyperException

from cli import (
    audit,
    benching,
    dead_letters,
    demo,
    keys,
    notifications,
    processes,
    providers,
    recipients,
    secrets,
    sending,
    status,
    suppressions,
    tailing,
    tenants,
)
from cli.doctor import command as doctor
from cli.errors import INTERRUPTED, Failure

_HELP = """Clarion: durable, multi-channel notifications.

\b
Start here:
  clarion demo     send one notification by every channel to sandbox vendors, and watch it arrive
  clarion dev      run everything on this machine
  clarion send "Hello" --to user123 --channel email --channel sms --watch

Exit codes: 0 done, 1 it failed, 2 wrong usage or setting, 130 Ctrl-C.
"""

# Boxes and colours belong on a terminal only.
app = typer.Typer(
    help=_HELP,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if sys.stdout.isatty() else None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
processes.add_to(app)
for command in (sending.send, status.status):
    app.command()(command)
app.command("list")(notifications.list_)
for command in (tailing.tail, notifications.cancel):
    app.command()(command)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(recipients.app, name="recipients")
app.add_typer(suppressions.app, name="suppressions")
app.command()(notifications.metrics)
app.add_typer(tenants.app, name="tenants")
app.add_typer(keys.app, name="keys")
app.add_typer(secrets.app, name="secrets")
app.command()(audit.audit)
app.add_typer(providers.app, name="providers")
app.add_typer(doctor.app, name="doctor")
app.command()(benching.bench)


def main() -> None:
    """Run the command line and end the process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command. Returns its exit code; an error is one line on standard error."""
    try:
        result = app(arguments or ["--help"], prog_name="clarion", standalone_mode=False)
    except Failure as failure:
        return _told(str(failure), failure.exit_code)
    except TyperException as error:
        return _told(_usage(error), error.exit_code)
    except (Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:
        from settings import SettingsError  # half a second that only a command that failed pays

        if not isinstance(error, SettingsError):
            raise
        return _told(str(error), 2)
    return result if isinstance(result, int) else 0


def _usage(error: TyperException) -> str:
    """What is wrong with the arguments, and where the right ones are described."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "clarion"
    message = error.format_message().strip()
    return f"{command}: {message}{'' if message.endswith(('.', '?')) else '.'} See `{command} --help`."


def _told(line: str, code: int) -> int:
    sys.stderr.write(f"{line}\n")
    return code


if __name__ == "__main__":
    main()

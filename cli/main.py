"""The entrance: puts the commands together and turns a wrong setting into one clear line and exit code 2."""

import sys

import typer

from cli import processes
from settings import SettingsError

app = typer.Typer(
    help="Clarion: durable, multi-channel notifications. `clarion dev` starts everything on this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
processes.add_to(app)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()

"""Where the lines of all parts go: the terminal, with a name before each and colours if it is one, or a file."""

import sys
from pathlib import Path

from workers.embedded.service import Sink

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")
WIDTH = 12


def to_terminal() -> Sink:
    """Lines on standard output: in colour on a terminal, plain when piped."""
    return _coloured() if sys.stdout.isatty() else _plain


def to_file(path: Path) -> Sink:
    """Lines at the end of a file, made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(name: str, line: str) -> None:
        with path.open("a") as out:
            out.write(f"{name:<{WIDTH}} | {line}\n")

    return write


def _plain(name: str, line: str) -> None:
    sys.stdout.write(f"{name:<{WIDTH}} | {line}\n")
    sys.stdout.flush()


def _coloured() -> Sink:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    styles: dict[str, str] = {}

    def write(name: str, line: str) -> None:
        style = styles.setdefault(name, COLOURS[len(styles) % len(COLOURS)])
        console.print(Text.assemble((f"{name:<{WIDTH}} | ", style), Text.from_ansi(line)))

    return write

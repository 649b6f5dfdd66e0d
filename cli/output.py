"""What commands print: tables and colours on a terminal, plain text when piped, JSON when asked for."""

import json
import re
import sys
from collections.abc import Mapping, Sequence

# Green has ended well, red has not, yellow is on its way or wants a look.
STYLES: Mapping[str, str] = {
    **dict.fromkeys(("DELIVERED", "COMPLETED", "SENT", "ok", "set up", "enabled", "closed"), "green"),
    **dict.fromkeys(("FAILED", "DEAD", "PARTIAL_FAILURE", "EXPIRED", "SUPPRESSED", "wrong", "disabled", "open"), "red"),
    **dict.fromkeys(("UNDELIVERED", "IN_DOUBT", "UNCONFIRMED", "CANCELLED", "look", "draining", "half open"), "yellow"),
    **dict.fromkeys(("QUEUED", "SENDING", "ENQUEUED", "PROCESSING", "SCHEDULED"), "cyan"),
}

_BEHIND = re.compile(r" for |: ")


def on_terminal() -> bool:
    """Whether a person looks at standard output."""
    return sys.stdout.isatty()


def say(text: str) -> None:
    """A line of the answer."""
    sys.stdout.write(f"{clean(text)}\n")


def note(text: str) -> None:
    """A line beside the answer, on standard error."""
    sys.stderr.write(f"{clean(text)}\n")


def document(content: object) -> None:
    """The answer as one JSON document."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def record(content: object) -> None:
    """One line of a stream as JSON, at once."""
    sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def status_line(*cells: str) -> None:
    """One line of a stream, at once; a status among the cells in its colour."""
    if on_terminal():
        from rich.console import Console
        from rich.text import Text

        text = Text("  ").join(Text(clean(cell), STYLES.get(cell, "")) for cell in cells)
        Console(highlight=False, soft_wrap=True).print(text)
    else:
        sys.stdout.write("  ".join(map(clean, cells)) + "\n")
    sys.stdout.flush()


def table(columns: Sequence[str], rows: Sequence[Sequence[str | None]], *, none: str) -> None:
    """Rows under headings; `none` is said, beside the answer, when there are none."""
    if not rows:
        note(none)
        return
    cells = [[clean(cell or "") for cell in row] for row in rows]
    if on_terminal():
        _rich_table(columns, cells)
    else:
        sys.stdout.write("".join(f"{line}\n" for line in aligned([[name.upper() for name in columns], *cells])))


def pairs(content: Mapping[str, str | None]) -> None:
    """Names and values, one a line; what has no value is left out."""
    said = [(name, clean(value)) for name, value in content.items() if value]
    if on_terminal():
        _rich_pairs(said)
    else:
        sys.stdout.write("".join(f"{line}\n" for line in aligned(said)))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns side by side, two blanks apart, nothing at the end of a line."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def clean(text: str) -> str:
    """Without control characters: what a vendor or a caller wrote must not steer this terminal."""
    return text if text.isprintable() else "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def _style(cell: str) -> str:
    """By its first words, where more is said behind them: `open for 12 s: refused`."""
    return STYLES.get(_BEHIND.split(cell, 1)[0], "")


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in shown.columns:
        column.overflow = "fold"  # an id cut short is of no use
    for row in rows:
        shown.add_row(*(Text(cell, _style(cell)) for cell in row))
    Console(highlight=False).print(shown)


def _rich_pairs(said: Sequence[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table.grid(padding=(0, 2))
    for name, value in said:
        shown.add_row(Text(name, "dim"), Text(value, STYLES.get(value, ""), overflow="fold"))
    Console(highlight=False).print(shown)

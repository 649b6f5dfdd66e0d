"""A notification as a picture on the terminal: its head, its deliveries, what happened to each; live while it runs."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cli.output import STYLES, clean
from cli.timeline import ENDS, Happening, Status, happened

_DETAILED = 6  # deliveries up to which each gets its whole timeline


def live(statuses: Iterator[Status]) -> Status:
    """Draw every status over the one before. Returns the last, which stays on the screen."""
    console, status = Console(highlight=False), None
    with Live(console=console, refresh_per_second=10, vertical_overflow="ellipsis") as screen:
        for status in statuses:
            screen.update(picture(status, room=console.height - 6))
    if status is None:
        raise ValueError("nothing was followed")
    return status


def show(status: Status, *, events: bool) -> None:
    """Print it once, whole."""
    Console(highlight=False).print(picture(status, detailed=len(status["deliveries"]) if events else 0))


def picture(status: Status, *, room: int | None = None, detailed: int = _DETAILED) -> RenderableType:
    """The head and the deliveries. `room`: lines there are for deliveries; `detailed`: timelines up to so many."""
    deliveries = status["deliveries"]
    if len(deliveries) <= detailed:
        return Group(_head(status), *_timelines(status))
    shown = deliveries if room is None else deliveries[: max(1, room)]
    return Group(_head(status), _overview(shown), *_rest(status, len(shown)))


def _head(status: Status) -> RenderableType:
    overall, counts = status["status"], status["counts"]
    words = Text.assemble((overall, STYLES.get(overall, "")), f"  {status['notification_id']}  ", style="bold")
    words.append(", ".join(f"{number} {name}" for name, number in counts.items()), "not bold dim")
    return words if overall in ENDS else Spinner("dots", words)


def _timelines(status: Status) -> Iterator[RenderableType]:
    by_delivery: dict[str, list[Happening]] = {}
    for one in happened(status):
        by_delivery.setdefault(one.delivery["id"], []).append(one)
    for delivery in status["deliveries"]:
        to = f" to {clean(delivery['recipient_id'])}  "
        yield Text.assemble("\n", (delivery["channel"], "bold"), to, _state(delivery))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(justify="right", style="dim")
        for one in by_delivery.get(delivery["id"], ()):
            grid.add_row(one.when, Text(one.word, STYLES.get(one.event["to"], "")), Text(clean(one.details)))
        yield Padding(grid, (0, 0, 0, 2))


def _overview(deliveries: list[Mapping[str, Any]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for delivery in deliveries:
        reason = clean(delivery["reason"] or "")
        grid.add_row(
            Text(delivery["id"], "dim", overflow="fold"),
            delivery["channel"],
            Text(clean(delivery["recipient_id"])),
            _state(delivery),
            delivery["provider"],
            Text(reason, "dim"),
        )
    return Padding(grid, (1, 0, 0, 2))


def _rest(status: Status, shown: int) -> Iterator[RenderableType]:
    hidden = sum(status["counts"].values()) - shown
    if hidden > 0:
        yield Text(f"  and {hidden} more", "dim")


def _state(delivery: Mapping[str, Any]) -> Text:
    state = Text(delivery["status"], STYLES.get(delivery["status"], ""))
    return state.append("  possible duplicate", "yellow") if delivery["possible_duplicate"] else state

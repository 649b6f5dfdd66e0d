"""Draws what the cases found: one picture for each question."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.finding import Finding


def drawn(findings: Sequence[Finding], folder: Path) -> list[tuple[str, str]]:
    """Title and file, below `folder`, of each picture there is something to draw for. None without matplotlib."""
    series = {(found.case, name): what for found in findings for name, what in found.series.items()}
    pictures: list[tuple[str, str]] = []
    for case, name, title, draw in _PICTURES:
        what = series.get((case, name))
        if what and _draw(folder / f"{case}-{name}.svg", title, draw, what):
            pictures.append((title, f"{case}-{name}.svg"))
    return pictures


def _draw(file: Path, title: str, draw: Callable[[Any, Any], None], what: Any) -> bool:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    figure.suptitle(title)
    draw(figure, what)
    figure.savefig(file)
    return True


def _timeline(figure: Any, what: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    backlog, waits = figure.subplots(2, 1, sharex=True)
    for priority, lines in what.items():
        backlog.plot(lines["backlog"], label=priority)
        waits.plot(lines["p99"], label=priority)
    backlog.set_ylabel("accepted, not sent")
    waits.set_ylabel("accept-to-sent p99, s")
    waits.set_xlabel("seconds of the burst")
    backlog.legend()


def _cpu(figure: Any, what: Mapping[str, float]) -> None:
    axes = figure.subplots()
    names = sorted(what, key=lambda name: what[name])
    axes.barh(names, [what[name] * 100 for name in names])
    axes.set_xlabel("% of two cores")


def _rounds(figure: Any, what: Mapping[str, Sequence[float]]) -> None:
    axes = figure.subplots()
    for name, rates in what.items():
        axes.plot(range(1, len(rates) + 1), rates, marker="o", label=name)
    axes.set_xlabel("round")
    axes.set_ylabel("receipted/s")
    axes.set_yscale("log")
    axes.legend()


def _cap(figure: Any, what: Mapping[str, Sequence[float]]) -> None:
    axes = figure.subplots()
    axes.plot(what["caps"], what["rates"], marker="o")
    axes.set_xscale("log")
    axes.set_xlabel("deliveries a run may share")
    axes.set_ylabel("receipted/s")
    axes.set_ylim(bottom=0)


def _load(figure: Any, what: Mapping[str, Sequence[float]]) -> None:
    axes = figure.subplots()
    for name, seconds in what.items():
        if name != "rates":
            axes.plot(what["rates"], seconds, marker="o", label=name)
    axes.set_xlabel("offered notifications/s")
    axes.set_ylabel("seconds")
    axes.set_yscale("log")
    axes.legend()


_PICTURES: tuple[tuple[str, str, str, Callable[[Any, Any], None]], ...] = (
    ("burst", "timeline", "Backlog and latency per priority in a burst", _timeline),
    ("burst", "cpu", "CPU share per process in a burst", _cpu),
    ("batch-cap", "cap", "Throughput against batch cap", _cap),
    ("offered-load", "load", "Latency against offered load", _load),
    ("priority", "timeline", "Backlog and latency beside a flood of low priority", _timeline),
    ("naive", "rounds", "Clarion and one workflow a notification, in turn", _rounds),
    ("celery", "rounds", "Clarion and Celery, in turn", _rounds),
    ("dbos", "rounds", "Clarion and DBOS Transact, in turn", _rounds),
)

"""Keeps each case's line under `bench/out/`, and shows them all as a table on the terminal and in Markdown."""

import os
import platform
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

from bench.cases import CASES
from bench.cases.burst import CORES
from bench.finding import Figure, Finding
from bench.keeping import Lines, reasons, table
from bench.places import OUT, version
from bench.plots import drawn
from cli import output

_TRIED = (
    "On average while it was played. What a notification costs in each part, and what was tried: "
    "[docs/performance.md](../../docs/performance.md#what-a-notification-costs-and-what-holds-it-back)."
)
COLUMNS = ("case", "figure", "measured", "bound", "result")


class Kept(Lines[Finding]):
    """`bench/out/bench.jsonl`, and the report that is written from it."""

    def __init__(self) -> None:
        super().__init__(OUT / "bench.jsonl", version(), CASES, _finding)

    def add(self, finding: Finding) -> None:
        """Keep it in place of an older one, and write everything anew."""
        super().add(finding)
        pictures = drawn(self.findings, OUT)
        (OUT / "report.md").write_text(_markdown(self.findings, self._version, pictures))


def _finding(line: dict[str, Any]) -> Finding:
    figures = [Figure(**{**said, "value": _number(said["value"])}) for said in line.pop("figures")]
    return Finding(figures=figures, **line)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value  # JSON has no NaN


def show(findings: Sequence[Finding]) -> None:
    """The table, and below it what was broken."""
    output.table(COLUMNS, list(_rows(findings)), none="nothing was played")
    for line in reasons(findings):
        output.say(line)


def _rows(findings: Iterable[Finding]) -> Iterable[list[str]]:
    for found in findings:
        for n, figure in enumerate(found.figures):
            yield ["" if n else found.case, figure.name, _said(figure.value, figure.unit), _bound(figure), _met(figure)]


def _said(value: float, unit: str = "") -> str:
    if not isfinite(value):
        return "none"
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()


def _bound(figure: Figure) -> str:
    if figure.at_least is not None:
        return f"at least {_said(figure.at_least)}"
    return f"at most {_said(figure.at_most)}" if figure.at_most is not None else ""


def _met(figure: Figure) -> str:
    return {None: "", True: "ok", False: "missed"}[figure.met]


def _markdown(findings: Sequence[Finding], measured: str, pictures: Sequence[tuple[str, str]]) -> str:
    broken = reasons(findings)
    verdict = "".join(f"- {reason}\n" for reason in broken) or "Nothing was lost, and nothing sent twice uncounted.\n"
    shown = "".join(f"\n## {title}\n\n![{title}]({file})\n" for title, file in pictures)
    machine = f"{os.cpu_count()} cores, {platform.system()} on {platform.machine()}, Python {platform.python_version()}"
    head = f"# Clarion, measured with {measured}\n\n{machine}.\n\n"
    return head + table(COLUMNS, _rows(findings)) + f"\n{verdict}{shown}{_held_back(findings)}{_longest(findings)}"


def _held_back(findings: Sequence[Finding]) -> str:
    """What the processes of each case that missed a bound had of the cores, and how they waited for one."""
    tables = [
        f"\n### `{found.case}`\n\n{table(('process', 'cores', 'threads ready without one'), _effort(found))}"
        for found in findings
        if found.missed and "cpu" in found.series
    ]
    if not tables:
        return ""
    return f"\n## What held back those that missed a bound\n\n{_TRIED}\n{''.join(tables)}"


def _effort(found: Finding) -> Iterable[list[str]]:
    had, waiting = found.series["cpu"], found.series.get("waiting", {})
    for name in sorted(had, key=had.__getitem__, reverse=True):
        yield [name, f"{had[name] * CORES:.2f}", f"{waiting[name]:.2f}" if name in waiting else ""]


def _longest(findings: Sequence[Finding]) -> str:
    """The statements that took PostgreSQL longest, where `cost` was played."""
    found = [one for finding in findings for one in finding.series.get("statements", ())]
    if not found:
        return ""
    rows = [(one["query"].replace("|", "\\|"), f"{one['calls']:,}", f"{one['ms']:,.0f}") for one in found]
    return "\n## Where PostgreSQL spent its time in `cost`\n\n" + table(("statement", "calls", "ms in all"), rows)

"""Keeps each case's line under `bench/out/`, and shows them all as a table on the terminal and in Markdown."""

from collections.abc import Sequence

from bench.failover.cases import CASES
from bench.failover.judging import Finding
from bench.keeping import Lines, reasons, table
from bench.places import OUT, version
from cli import output

COLUMNS = (
    "case",
    "accepted/s",
    "sent/s",
    "opened s",
    "tried",
    "probes",
    "worst 2 s",
    "back s",
    "doubled",
    "lost",
    "result",
)


class Kept(Lines[Finding]):
    """`bench/out/failover.jsonl`, and the table that is written from it."""

    def __init__(self) -> None:
        super().__init__(OUT / "failover.jsonl", version(), CASES, lambda line: Finding(**line))

    def add(self, finding: Finding) -> None:
        """Keep it, in place of an older one, and write table and lines anew."""
        super().add(finding)
        (OUT / "failover.md").write_text(_markdown(self.findings, self._version))


def show(findings: Sequence[Finding]) -> None:
    """The table, and below it what was broken."""
    output.table(COLUMNS, [_cells(found) for found in findings], none="nothing was played")
    for line in reasons(findings):
        output.say(line)


def _cells(found: Finding) -> list[str]:
    return [
        found.case,
        f"{found.accepted_per_s:.1f}",
        f"{found.sent_per_s:.1f}",
        _seconds(found.opened),
        f"{found.tried}" if found.tried == found.tried_late else f"{found.tried} ({found.tried_late} late)",
        f"{found.probes}",
        "" if found.worst_share is None else f"{found.worst_share:.1%}",
        _seconds(found.back),
        f"{found.possible_duplicates}",
        f"{found.lost}",
        "wrong" if found.broken else "ok",
    ]


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f}"


def _markdown(findings: Sequence[Finding], measured: str) -> str:
    broken = "".join(f"- {reason}\n" for reason in reasons(findings))
    return f"# Failover, measured with {measured}\n\n{table(COLUMNS, map(_cells, findings))}\n{broken}"

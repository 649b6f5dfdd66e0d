"""Keeps each case's line under `bench/out/`, and shows them all as a table on the terminal and in Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import orjson

from bench.failover.cases import CASES
from bench.failover.judging import Finding
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


class Kept:
    """`bench/out/failover.jsonl`: one line for each case that was played with this version, in the cases' order."""

    def __init__(self) -> None:
        self._file, self._version = OUT / "failover.jsonl", version()
        lines = self._file.read_bytes().splitlines() if self._file.exists() else []
        read = [orjson.loads(line) for line in lines]
        self._lines = {line["case"]: line for line in read if line.pop("version") == self._version}

    @property
    def findings(self) -> list[Finding]:
        """What is kept."""
        return [Finding(**self._lines[case.name]) for case in CASES if case.name in self._lines]

    def add(self, finding: Finding) -> None:
        """Keep it, in place of an older one, and write table and lines anew."""
        self._lines[finding.case] = orjson.loads(orjson.dumps(asdict(finding)))
        OUT.mkdir(parents=True, exist_ok=True)
        self._file.write_bytes(b"".join(self._json(found) for found in self.findings))
        (OUT / "failover.md").write_text(_markdown(self.findings, self._version))

    def _json(self, finding: Finding) -> bytes:
        return orjson.dumps({"version": self._version, **asdict(finding)}, option=orjson.OPT_APPEND_NEWLINE)


def show(findings: Sequence[Finding]) -> None:
    """The table, and below it what was broken."""
    output.table(COLUMNS, [_cells(found) for found in findings], none="nothing was played")
    for line in _reasons(findings):
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


def _reasons(findings: Iterable[Finding]) -> list[str]:
    return [f"{found.case}: {reason}" for found in findings for reason in found.broken]


def _markdown(findings: Sequence[Finding], measured: str) -> str:
    rows = [COLUMNS, ["---"] * len(COLUMNS), *map(_cells, findings)]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    reasons = "".join(f"- {reason}\n" for reason in _reasons(findings))
    return f"# Failover, measured with {measured}\n\n{table}\n{reasons}"

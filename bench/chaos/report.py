"""A run's report: as a document for machines, as Markdown for people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bench.chaos.crowd import Harvest
from bench.chaos.recovery import Recovery
from bench.chaos.striking import Strike
from bench.verdict import Verdict
from cli.doctor.ledger import document as checked


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is over. `way`: seconds from a request to its vendor, the median; recovery cannot be faster."""

    seed: int
    seconds: float
    rate: float
    strikes: Sequence[Strike]
    harvest: Harvest
    verdict: Verdict
    recoveries: Mapping[str, Recovery]
    way: float | None
    code: str  # the folder whose code ran


def document(run: Run) -> dict[str, Any]:
    """All of it."""
    harvest, verdict, left = run.harvest, run.verdict, run.verdict.unfinished
    return {
        "clean": verdict.clean,
        "seed": run.seed,
        "seconds": run.seconds,
        "rate": run.rate,
        "code": run.code,
        "faults": dict(Counter(strike.fault.kind for strike in run.strikes)),
        "accepted": len(harvest.accepted),
        "refused": {str(status): n for status, n in sorted(harvest.refused.items())},
        "broken": harvest.broken,
        "cancelled": len(harvest.cancelled),
        "cancelled_too_late": harvest.too_late,
        "cancels_unknown": harvest.cancels_unknown,
        "lost": verdict.lost,
        "duplicates_counted": verdict.counted,
        "duplicates_uncounted": verdict.uncounted,
        "unfinished": {"open": left.open, "dead": left.dead, "runs": left.looks},
        "request_to_vendor": run.way,
        "recovery": {
            kind: {"times": one.times, "recovered": len(one.seconds), "median": one.typical, "worst": one.worst}
            for kind, one in run.recoveries.items()
        },
        "ledger": checked(verdict.report),
        "strikes": [
            {"kind": s.fault.kind, "target": s.fault.target, "began": s.began, "ended": s.ended} for s in run.strikes
        ],
    }


def markdown(run: Run) -> str:
    """What a person wants to know, as tables."""
    parts = (_heading(run), _numbers(run), _faults(run), _findings(run))
    return "\n".join(line for part in parts for line in part) + "\n"


def write(run: Run, folder: Path) -> Path:
    """Both files, named by the seed; returns the one for people."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"chaos-{run.seed}.md"
    file.write_text(markdown(run))
    file.with_suffix(".json").write_bytes(orjson.dumps(document(run), option=orjson.OPT_INDENT_2))
    return file


def _heading(run: Run) -> list[str]:
    verdict = "clean" if run.verdict.clean else "NOT CLEAN"
    return [
        f"# Fault run, seed {run.seed}: {verdict}",
        f"{run.seconds:g} s of load at {run.rate:g} requests a second, {len(run.strikes)} faults.",
        "",
    ]


def _numbers(run: Run) -> list[str]:
    harvest, verdict, left = run.harvest, run.verdict, run.verdict.unfinished
    refused = ", ".join(f"{n} x {status}" for status, n in sorted(harvest.refused.items())) or "0"
    ended = ", ".join(f"{n} {status}" for status, n in verdict.report.ended.most_common())
    return [
        "| | |",
        "| --- | --- |",
        f"| accepted notifications | {len(harvest.accepted)} |",
        f"| refused | {refused} |",
        f"| broken connections | {harvest.broken} |",
        f"| deliveries | {ended} |",
        f"| cancelled, too late | {len(harvest.cancelled)}, {harvest.too_late} |",
        f"| from a request to its vendor, median s | {_seconds(run.way)} |",
        f"| messages vendors took | {verdict.report.taken} |",
        f"| **lost** | {verdict.lost} |",
        f"| duplicates, counted | {verdict.counted} |",
        f"| **duplicates, uncounted** | {verdict.uncounted} |",
        f"| **unfinished** | {left.open} open, {left.dead} dead, {left.looks} runs |",
        "",
    ]


def _faults(run: Run) -> list[str]:
    rows = [
        f"| {kind} | {one.times} | {_seconds(one.typical)} | {_seconds(one.worst)} |"
        for kind, one in run.recoveries.items()
    ]
    return ["| fault | times | recovery, median s | worst |", "| --- | --- | --- | --- |", *rows, ""]


def _findings(run: Run) -> list[str]:
    broken = [(name, tally) for name, tally in run.verdict.report.tallies.items() if tally.wrong]
    if not broken:
        looked = sum(tally.checked for tally in run.verdict.report.tallies.values())
        return [f"The ledger keeps all {len(run.verdict.report.tallies)} invariants ({looked} looks)."]
    rows = [f"- {name}: {one.id}: {one.why}" for name, tally in broken for one in tally.first]
    totals = ", ".join(f"{name} {tally.wrong} of {tally.checked}" for name, tally in broken)
    return [f"Broken: {totals}", *rows]


def _seconds(value: float | None) -> str:
    return f"{value:.2f}" if value is not None else "-"

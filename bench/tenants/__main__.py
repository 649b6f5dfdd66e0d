"""`python -m bench.tenants`: one tenant floods, another sends 20 a second; with fairness, then without. 1: broken."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

import orjson

from bench.places import OUT, new_log, version
from bench.tenants.play import Played, Seen, play
from cli import output
from workers.embedded.errors import StackError

COLUMNS = (
    "fairness",
    "phase",
    "samples",
    "refused",
    "accept p50",
    "accept p99",
    "accept-to-sent p50",
    "accept-to-sent p99",
    "sent/s",
    "lost",
)
_ACCEPT = 0.25  # seconds
_SENT, _TIMES = 1.0, 3.0  # seconds; times the quiet figure
_ENOUGH = 1000  # samples


def broken(fair: Played, plain: Played) -> list[str]:
    """What was promised and not kept; also if turns make no difference, for then the case proves nothing."""
    most = max(_SENT, _TIMES * fair.quiet.sent_p99)
    found = [f"fairness {case.fairness}: the ledger is not clean" for case in (fair, plain) if not case.clean]
    if fair.flood.samples < _ENOUGH:
        found.append(f"only {fair.flood.samples} of B's requests were accepted")
    if fair.flood.sent_p99 > most:
        found.append(f"B's accept-to-sent p99 is {fair.flood.sent_p99:.2f} s: more than {most:.2f}")
    if fair.flood.accept_p99 > _ACCEPT:
        found.append(f"B's accept p99 is {fair.flood.accept_p99 * 1000:.0f} ms: more than {_ACCEPT * 1000:.0f}")
    worse = plain.flood.refused > _ENOUGH // 10 or plain.flood.sent_p99 > 2 * max(most, fair.flood.sent_p99)
    if not worse:
        found.append("without turns B is not clearly worse off")
    return found


def _rows(case: Played) -> list[list[str]]:
    return [_row(case, "quiet", case.quiet), _row(case, "flood", case.flood)]


def _row(case: Played, phase: str, seen: Seen) -> list[str]:
    times = [f"{seconds * 1000:.0f} ms" for seconds in (seen.accept_p50, seen.accept_p99)]
    times += [f"{seconds:.2f} s" for seconds in (seen.sent_p50, seen.sent_p99)]
    sent = f"{case.sent_per_s:.0f}" if phase == "flood" else ""
    return ["on" if case.fairness else "off", phase, str(seen.samples), str(seen.refused), *times, sent, str(case.lost)]


def _keep(cases: Sequence[Played], wrong: Sequence[str]) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    lines = [orjson.dumps({"version": version(), **case.line()}, option=orjson.OPT_APPEND_NEWLINE) for case in cases]
    (OUT / "tenants.jsonl").write_bytes(b"".join(lines))
    rows = [COLUMNS, ["---"] * len(COLUMNS), *(row for case in cases for row in _rows(case))]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    reasons = "".join(f"- {reason}\n" for reason in wrong)
    (OUT / "tenants.md").write_text(f"# Tenants beside a flood, measured with {version()}\n\n{table}\n{reasons}")


def main() -> int:
    """Returns the exit code: 1 when a promise was broken, 2 when it could not be tried."""
    argparse.ArgumentParser(prog="python -m bench.tenants", description=__doc__).parse_args()
    cases: list[Played] = []
    try:
        for fairness in (True, False):
            output.note(f"{time.strftime('%H:%M:%S')} fairness {'on' if fairness else 'off'}: about 3 minutes")
            log = new_log("tenants", f"fairness-{'on' if fairness else 'off'}")
            cases.append(asyncio.run(play(fairness, log)))
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    wrong = broken(*cases)
    output.table(COLUMNS, [row for case in cases for row in _rows(case)], none="")
    for reason in wrong:
        output.say(reason)
    _keep(cases, wrong)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

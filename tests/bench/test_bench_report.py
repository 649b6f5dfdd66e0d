"""What `make bench` says: figures against their bounds, what is kept and resumed, series from times in the ledger."""

from math import isnan
from pathlib import Path

import orjson
import pytest

from bench import passages, peers, report
from bench.cases import rivals
from bench.finding import Figure, Finding
from bench.numbers import percentile
from bench.passages import Passage
from bench.plots import drawn

SLOW = Figure("sent", 900.0, "/s", at_least=1_667)
QUICK = Figure("POST p99", 12.5, "ms", at_most=25)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> report.Kept:
    monkeypatch.setattr(report, "OUT", tmp_path)
    monkeypatch.setattr(report, "version", lambda: "v1")
    return report.Kept()


def passage(priority: str, accepted: float, sent: float | None) -> Passage:
    return Passage("n", "b.0", priority, accepted, sent, None)


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (SLOW, False),
        (QUICK, True),
        (Figure("edge", 25, at_most=25), True),
        (Figure("plain", 1), None),
        (Figure("nothing was measured", float("nan"), at_most=25), False),
        (Figure("nothing was measured", float("nan"), at_least=25), False),
    ],
)
def test_a_figure_is_held_against_its_bound(figure: Figure, met: bool | None) -> None:
    assert figure.met is met


def test_a_case_is_kept_with_its_version_and_read_again(kept: report.Kept, tmp_path: Path) -> None:
    finding = Finding("burst", 90.0, [SLOW, Figure("none", float("nan"))], ["lost: 1"], {"cpu": {"api": 0.5}})
    kept.add(finding)
    [again] = report.Kept().findings
    assert (again.case, again.broken, again.missed) == ("burst", ["lost: 1"], [SLOW])
    assert isnan(again.figures[1].value)
    [line] = (tmp_path / "bench.jsonl").read_bytes().splitlines()
    assert orjson.loads(line)["version"] == "v1"


def test_a_case_played_anew_takes_the_place_of_the_old(kept: report.Kept) -> None:
    kept.add(Finding("burst", 1.0, [SLOW], ["lost: 1"]))
    kept.add(Finding("burst", 1.0, [QUICK]))
    assert [finding.figures for finding in report.Kept().findings] == [[QUICK]]


def test_results_of_another_version_are_not_kept(kept: report.Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.add(Finding("burst", 1.0, [QUICK]))
    monkeypatch.setattr(report, "version", lambda: "v2")
    assert report.Kept().findings == []


def test_the_report_names_what_was_missed_and_what_was_broken(kept: report.Kept, tmp_path: Path) -> None:
    kept.add(Finding("burst", 1.0, [SLOW, QUICK], ["lost: 1"]))
    text = (tmp_path / "report.md").read_text()
    assert "| burst | sent | 900 /s | at least 1,667 | missed |" in text
    assert "|  | POST p99 | 12.5 ms | at most 25 | ok |" in text
    assert "- burst: lost: 1" in text


def test_the_report_shows_what_held_back_a_case_that_missed_a_bound(kept: report.Kept, tmp_path: Path) -> None:
    effort = {"cpu": {"load": 0.05, "api": 0.31}, "waiting": {"api": 0.74}}
    kept.add(Finding("burst", 1.0, [SLOW], series=effort))
    kept.add(Finding("bulk", 1.0, [QUICK], series=effort))
    text = (tmp_path / "report.md").read_text()
    assert "| api | 0.62 | 0.74 |\n| load | 0.10 |  |" in text
    assert "### `burst`" in text
    assert "### `bulk`" not in text


def test_the_report_shows_the_longest_statements_as_a_table(kept: report.Kept, tmp_path: Path) -> None:
    statement = {"query": "SELECT a || b", "calls": 1200, "ms": 340.6}
    kept.add(Finding("cost", 1.0, [QUICK], series={"statements": [statement]}))
    assert "| SELECT a \\|\\| b | 1,200 | 341 |" in (tmp_path / "report.md").read_text()


def test_a_plot_is_drawn_for_a_case_that_has_a_series(tmp_path: Path) -> None:
    timeline = passages.timeline([passage("high", 0.5, 1.5), passage("low", 0.7, None)], began=0.0)
    shown = drawn([Finding("burst", 1.0, [QUICK], series={"timeline": timeline})], tmp_path)
    assert [file for _, file in shown] == ["burst-timeline.svg"]
    assert (tmp_path / "burst-timeline.svg").read_text().lstrip().startswith("<?xml")


def test_the_backlog_is_what_was_accepted_and_not_sent_yet() -> None:
    found = passages.timeline([passage("low", 0.1, 2.5), passage("low", 0.2, 0.9), passage("low", 1.1, None)], 0.0)
    assert found["low"]["backlog"] == [1, 2, 1]
    assert found["low"]["p99"][0] == pytest.approx(2.4)


def test_a_rate_counts_until_the_last_and_is_nothing_when_one_is_missing() -> None:
    assert passages.rate([11.0, 14.0], 10.0) == 0.5
    assert isnan(passages.rate([11.0, None], 10.0))


def test_a_vendor_first_took_a_delivery_when_its_log_first_names_it(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"key": "b.7.1", "at": 5.0}\n{"key": "b_7_2", "at": 6.0}\n{"key": "b_8_1", "at": 7.0}\n')
    assert passages.vendor_times(log) == {"b.7": 5.0, "b.8": 7.0}


def test_an_open_loop_plans_by_number(tmp_path: Path) -> None:
    promised = tmp_path / "promised"
    promised.write_text("0 a\n30 b\n")
    assert passages.planned(promised, began=100.0, rate=20.0) == {"a": 100.0, "b": 101.5}


def test_a_percentile_is_the_value_that_share_is_below() -> None:
    assert percentile(range(100), 0.99) == 99
    assert percentile([3.0], 0.5) == 3.0
    assert isnan(percentile([], 0.5))


def test_the_settings_tried_of_the_others_are_of_their_sweeps() -> None:
    assert set(rivals.CELERY) <= set(peers.CELERY_SWEEP)
    assert set(rivals.DBOS) <= set(peers.DBOS_SWEEP)

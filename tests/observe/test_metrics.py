"""Metrics as Prometheus reads them."""

import re
import time
import urllib.error
import urllib.request

import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from observe import metrics, reading
from observe.exposition import exposition, serve
from settings import SettingsError

LABELS = {
    "priority",
    "limit",
    "reason",
    "channel",
    "provider",
    "outcome",
    "report",
    "result",
    "lane",
    "status",
    "step",
    "queue",
}


def ours() -> list[str]:
    return [family.name for family in REGISTRY.collect() if family.name.startswith("clarion_")]


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_text_by_default_and_openmetrics_on_request() -> None:
    text, kind = exposition("text/plain; version=0.0.4")
    assert kind.startswith("text/plain; version=0.0.4")
    assert {family.name for family in read_text(text.decode())} >= set(ours())

    text, kind = exposition("application/openmetrics-text; version=1.0.0, text/plain;q=0.5")
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert {family.name for family in read_openmetrics(text.decode())} >= set(ours())


def test_names_and_labels_follow_the_rules() -> None:
    assert ours()
    for family in REGISTRY.collect():
        if family.name.startswith("clarion_"):
            assert re.fullmatch(r"[a-z_]+", family.name)
            assert not re.search(r"_(ms|milliseconds|minutes|total)$", family.name)
            assert family.documentation
            for sample in family.samples:
                assert set(sample.labels) - {"le"} <= LABELS


def test_the_goals_of_each_priority_are_bucket_bounds() -> None:
    assert {1, 5, 30} <= set(metrics._TO_SENT)


def test_counting_in_bulk() -> None:
    before = value("clarion_sends_total", channel="email", provider="bulk", outcome="accepted") or 0
    metrics.count(metrics.SENDS, "email", "bulk", "accepted", n=512)
    metrics.count(metrics.SENDS, "email", "bulk", "accepted")
    metrics.count(metrics.SENDS, "email", "bulk", "never", n=0)

    assert value("clarion_sends_total", channel="email", provider="bulk", outcome="accepted") == before + 513
    assert value("clarion_sends_total", channel="email", provider="bulk", outcome="never") is None


def test_observing() -> None:
    metrics.observe(metrics.ACCEPT_TO_SENT, "observed", "high", seconds=0.7)
    assert value("clarion_accept_to_sent_seconds_bucket", channel="observed", priority="high", le="0.5") == 0
    assert value("clarion_accept_to_sent_seconds_bucket", channel="observed", priority="high", le="1.0") == 1


def test_counting_is_cheap() -> None:
    began = time.thread_time()  # not the time others had the processor
    for _ in range(10_000):
        metrics.count(metrics.CLAIMS, "email", "cheap")
    assert time.thread_time() - began < 0.3  # 30 us each; measured 0.7


def test_a_reading_replaces_the_last_one_and_is_forgotten_when_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics.BACKLOG.set({"email-high": 3, "sms-high": 1})
    metrics.BACKLOG.set({"email-high": 4})
    metrics.OVERDUE.set({"": 2})
    assert value("clarion_backlog", queue="email-high") == 4
    assert value("clarion_backlog", queue="sms-high") is None
    assert value("clarion_open_batches_overdue") == 2

    monkeypatch.setattr(reading, "FRESH", 0.0)
    assert value("clarion_backlog", queue="email-high") is None


def test_a_worker_serves_its_metrics_and_gives_the_port_back() -> None:
    serving = serve(0, "127.0.0.1")
    url = f"http://127.0.0.1:{serving.port}/metrics"
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert b"clarion_backlog" in answer.read()
    with pytest.raises(SettingsError, match=rf"^--metrics-port: cannot listen on 127.0.0.1:{serving.port}: "):
        serve(serving.port, "127.0.0.1")
    serving.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=60)

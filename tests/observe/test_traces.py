"""Spans as they arrive at a collector."""

import socket
import time
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from observe import logs, traces
from settings import SettingsError

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
OTHER = "00-11111111111111111111111111111111-2222222222222222-01"


def test_off_without_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLARION_TRACE_ENDPOINT", raising=False)
    traces.configure("test")

    assert not traces.tracing()
    assert traces.temporal_interceptors() == []
    with traces.start("anything", SAMPLED, links=[OTHER]) as span:
        span.set(n=1)
        assert span.traceparent is None
        assert traces.current() is None


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLARION_TRACE_ENDPOINT", "collector:4318")
    with pytest.raises(SettingsError, match=r"^CLARION_TRACE_ENDPOINT: "):
        traces.configure("test")


async def test_a_sampled_parent_is_honoured_at_sample_0(sink: Any) -> None:
    traces.configure("clarion-test")
    with traces.start("post", SAMPLED, priority="high") as post, traces.start("call") as call:
        here = call.traceparent
        assert post.traceparent != here

    spans = await sink.spans()
    assert sink.services == {"clarion-test"}
    assert spans["post"].trace_id.hex() == spans["call"].trace_id.hex() == SAMPLED[3:35]
    assert spans["post"].parent_span_id.hex() == SAMPLED[36:52]
    assert spans["call"].parent_span_id == spans["post"].span_id
    assert here == f"00-{SAMPLED[3:35]}-{spans['call'].span_id.hex()}-01"
    assert [(pair.key, pair.value.string_value) for pair in spans["post"].attributes] == [("priority", "high")]


async def test_without_a_sampled_parent_nothing_leaves_at_sample_0(sink: Any) -> None:
    traces.configure("test")
    for parent in (None, UNSAMPLED, "rubbish", ""):
        with traces.start("post", parent) as span:
            assert span.traceparent is None
            assert traces.current() is None

    assert await sink.spans() == {}


async def test_sample_1_traces_what_comes_without_a_parent_but_not_against_its_will(
    sink: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLARION_TRACE_SAMPLE", "1")
    traces.configure("test")
    with traces.start("asked"):
        pass
    with traces.start("refused", UNSAMPLED):
        pass

    assert set(await sink.spans()) == {"asked"}


async def test_a_group_of_many_links_to_each(sink: Any) -> None:
    traces.configure("test")
    with traces.start("request", SAMPLED), traces.start("flush", links=[SAMPLED, OTHER, UNSAMPLED]) as flush:
        assert flush.traceparent is not None

    spans = await sink.spans()
    assert {link.trace_id.hex() for link in spans["flush"].links} == {SAMPLED[3:35], OTHER[3:35]}
    assert spans["flush"].trace_id.hex() not in {SAMPLED[3:35], OTHER[3:35]}
    assert spans["flush"].parent_span_id == b""


async def test_a_group_with_one_sampled_request_continues_its_trace(sink: Any) -> None:
    traces.configure("test")
    with traces.start("flush", links=[UNSAMPLED, SAMPLED]):
        pass

    flush = (await sink.spans())["flush"]
    assert flush.trace_id.hex() == SAMPLED[3:35]
    assert list(flush.links) == []


async def test_a_group_with_none_sampled_is_not_traced_whoever_started_the_task(sink: Any) -> None:
    traces.configure("test")
    with traces.start("old", SAMPLED), traces.start("flush", links=[]), traces.start("below") as below:
        assert below.traceparent is None

    assert set(await sink.spans()) == {"old"}


async def test_errors_show_their_kind_and_nobodys_address(sink: Any) -> None:
    traces.configure("test")
    with pytest.raises(ValueError, match="ada"), traces.start("call", SAMPLED):
        raise ValueError("no such user ada@example.com")
    with traces.start("other", SAMPLED) as span:
        span.record_error(TimeoutError("+14155550100"))

    spans = await sink.spans()
    assert spans["call"].status.code == Status.STATUS_CODE_ERROR
    assert spans["call"].status.message == "ValueError"
    assert spans["other"].status.message == "TimeoutError"
    assert b"ada@" not in b"".join(span.SerializeToString() for span in sink.arrived)


async def test_logs_carry_the_trace_id(sink: Any) -> None:
    traces.configure("test")
    with traces.start("call", SAMPLED):
        assert traces.trace_id() == SAMPLED[3:35]
        assert logs._add_trace(None, "info", {"event": "x"})["trace_id"] == SAMPLED[3:35]
    assert traces.trace_id() is None


def test_a_dead_collector_delays_a_stop_by_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:  # bound and not listening: every connect is refused
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("CLARION_TRACE_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        traces.configure("test")
        with traces.start("call", SAMPLED):
            pass
        began = time.monotonic()
        traces.shutdown()
        assert time.monotonic() - began < 15
    assert not traces.tracing()


def test_starting_a_span_costs_nothing_when_off() -> None:
    began = time.thread_time()  # not the time others had the processor
    for _ in range(10_000):
        with traces.start("call", provider="ses"):
            pass
    assert time.thread_time() - began < 0.2  # 20 us each; measured 0.3

"""One trace from the POST over the run and the vendor call to the receipt."""

import asyncio

import pytest
from otlp_sink import Sink, sink
from stage import SetStage

from observe import traces

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

__all__ = ["sink"]


async def test_a_sampled_caller_finds_everything_in_one_trace(
    set_stage: SetStage, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLARION_TRACE_ENDPOINT", sink.url)  # the stage starts from a clean environment
    traces.configure("clarion")
    stage = await set_stage()
    body = {"channels": ["email"], "recipient_ids": ["ada"], "message": "Hello"}
    code, answer = await stage.call("POST", "/notify", body, {"traceparent": CALLER})
    assert code == 202
    await stage.until(answer["id"], "COMPLETED")
    async with asyncio.timeout(60):  # its end, and its way to here, come after what it wrote
        while not any(span.name == "receipt" for span in sink.arrived):
            await asyncio.sleep(0.05)
    await sink.spans()
    mine = {span.name for span in sink.arrived if span.trace_id.hex() == CALLER[3:35]}
    assert {"POST /notify", "accept", "start run", "RunWorkflow:Batch", "vendor call", "receipt"} <= mine
    [taken] = await stage.vendors.log("sendgrid")
    assert taken["traceparent"].startswith(CALLER[:35]), "the vendor gets it too"


async def test_without_an_endpoint_the_callers_trace_still_reaches_the_vendor(set_stage: SetStage) -> None:
    stage = await set_stage()
    body = {"channels": ["sms"], "recipient_ids": ["ada"], "message": "Hello"}
    _, answer = await stage.call("POST", "/notify", body, {"traceparent": CALLER})
    await stage.until(answer["id"], "COMPLETED")
    [taken] = await stage.vendors.log("twilio")
    assert taken["traceparent"] == CALLER

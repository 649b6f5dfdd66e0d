"""A place where traces arrive: OTLP over real HTTP, decoded."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observe import traces


@dataclass
class Sink:
    """What came in, by name of the span."""

    url: str = ""
    services: set[str] = field(default_factory=set)
    arrived: list[Span] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            self.services.add(names["service.name"])
            self.arrived += [span for scope in resource.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")

    async def spans(self) -> dict[str, Span]:
        """Switch tracing off, which sends what is left, and give all that arrived."""
        await asyncio.to_thread(traces.shutdown)
        return {span.name: span for span in self.arrived}


@pytest.fixture
async def sink(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sink]:
    """An OTLP receiver that CLARION_TRACE_ENDPOINT points to."""
    found = Sink()
    app = web.Application()
    app.router.add_post("/v1/traces", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    monkeypatch.setenv("CLARION_TRACE_ENDPOINT", found.url + "/")
    yield found
    await asyncio.to_thread(traces.shutdown)
    await runner.cleanup()

"""How spans leave the process: sampled by their parent, in batches, in the background, without personal data."""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, Status, TraceState
from opentelemetry.util.types import Attributes

from observe.privacy import scrub

_TIMEOUT = 5  # seconds for one export; also bounds how long a stop can hang on a dead collector


def make_provider(service: str, endpoint: str, sample: float) -> TracerProvider:
    """Exports to `{endpoint}/v1/traces` (OTLP over HTTP, protobuf). `sample` is the share of new roots, 0 to 1."""
    provider = TracerProvider(
        sampler=ParentBased(_Root(sample)),
        resource=Resource.create({SERVICE_NAME: service}),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces", timeout=_TIMEOUT)
    provider.add_span_processor(BatchSpanProcessor(_Private(exporter), max_queue_size=8192, schedule_delay_millis=1000))
    return provider


class _Root(Sampler):
    """A root is sampled by chance, except one that links to sampled requests: that one always is."""

    def __init__(self, sample: float) -> None:
        self._by_chance = TraceIdRatioBased(sample)

    def should_sample(  # noqa: PLR0917 - the SDK's own signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        sampled = any(link.context.trace_flags.sampled for link in links or ())
        chosen = ALWAYS_ON if sampled else self._by_chance
        return chosen.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"LinkedOr({self._by_chance.get_description()})"


class _Private(SpanExporter):
    """Scrubs the texts of exceptions, which Temporal's interceptor writes into its spans."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._inner.export(
            [_scrubbed(span) if span.events or span.status.description else span for span in spans]
        )

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._inner.force_flush(timeout_millis)


def _scrubbed(span: ReadableSpan) -> ReadableSpan:
    described = span.status.description
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=[Event(event.name, _scrub_values(event.attributes), event.timestamp) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, scrub(described) if described else None),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _scrub_values(attributes: Attributes) -> Attributes:
    return {name: scrub(item) if isinstance(item, str) else item for name, item in (attributes or {}).items()}

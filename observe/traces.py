"""Traces by OpenTelemetry: from the POST over the run and the vendor call to the receipt. Costs nothing when off."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import context, trace
from opentelemetry.trace import Link, SpanKind
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from observe.spans import UNSAMPLED, Started, read, under, written
from settings import Section

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from temporalio.contrib.opentelemetry import TracingInterceptor


class TraceSettings(Section):
    """Where traces go and how many."""

    model_config = SettingsConfigDict(env_prefix="CLARION_TRACE_")

    endpoint: str | None = Field(None, pattern="^https?://", description="OTLP/HTTP base URL; unset: no traces")
    sample: float = Field(0, ge=0, le=1, description="share of requests traced that come without a traceparent")


_provider: "TracerProvider | None" = None


def configure(service: str) -> None:
    """Start exporting in the background under this service name, if an endpoint is set. Raises SettingsError."""
    global _provider  # noqa: PLW0603 - one per process, like the loggers
    chosen = TraceSettings.load()
    if chosen.endpoint is None or _provider is not None:
        return
    from observe.export import make_provider  # the SDK is loaded only by those who trace

    _provider = make_provider(service, chosen.endpoint, chosen.sample)


def shutdown() -> None:
    """Send what is left (at most some seconds) and switch off. Blocks: call it at the end of the process."""
    global _provider  # noqa: PLW0603
    if _provider is not None:
        _provider.shutdown()
        _provider = None


def tracing() -> bool:
    """Is anything traced in this process?"""
    return _provider is not None


_OFF = Started(None)


def start(
    name: str,
    parent: str | None = None,
    links: Sequence[str] | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    **attributes: str | int | float | bool,
) -> Started:
    """A new span, as in `with traces.start("send", provider="ses") as span: ...`.

    `parent` is a W3C traceparent: a sampled one is always honoured, rubbish is ignored. Without it the current span is
    the parent, and without that the span is a root, sampled by `CLARION_TRACE_SAMPLE`.
    `links` is for a group's span: the traceparents of the sampled requests it carries. With none of them nothing
    is traced, with one the span continues that trace, with more it is a trace of its own that links to each.
    """
    if _provider is None:
        return _OFF
    if links is not None and parent is None:
        return _start_group(name, links, kind, attributes)
    over = under(read(parent)) if parent is not None else None
    return Started(_provider.get_tracer("clarion").start_span(name, over, kind, attributes))


def _start_group(name: str, members: Sequence[str], kind: SpanKind, attributes: dict[str, Any]) -> Started:
    sampled = [found for found in map(read, members) if found.trace_flags.sampled]
    if _provider is None or not sampled:
        return Started(UNSAMPLED)
    links = [Link(member) for member in sampled] if len(sampled) > 1 else []
    # Never the current span: the task that flushes was often started by one request of an earlier group.
    over = context.Context() if links else under(sampled[0])
    return Started(_provider.get_tracer("clarion").start_span(name, over, kind, attributes, links))


def current() -> str | None:
    """The traceparent of the current span, also of one that Temporal's interceptor opened; None when not sampled."""
    return None if _provider is None else written(trace.get_current_span().get_span_context())


def trace_id() -> str | None:
    """The current trace's id in hex, for logs; None when not sampled."""
    here = current()
    return None if here is None else here[3:35]


def temporal_interceptors() -> "list[TracingInterceptor]":
    """For `Client.connect(interceptors=...)`: carries the trace through starts, signals, runs and activities."""
    if _provider is None:
        return []
    from temporalio.contrib.opentelemetry import TracingInterceptor

    return [TracingInterceptor(_provider.get_tracer("temporalio"))]

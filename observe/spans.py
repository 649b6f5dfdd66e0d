"""One span under way, and the W3C trace context that names it (traceparent, level 1)."""

from types import TracebackType
from typing import Any

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanContext, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

# Where this is the current span nothing below it is traced, whatever was current before.
UNSAMPLED = trace.NonRecordingSpan(SpanContext(1, 1, is_remote=False))

_W3C = TraceContextTextMapPropagator()


def written(span: SpanContext) -> str | None:
    """The traceparent of a span; None when it is not sampled, as nothing then hangs together by it."""
    if not span.trace_flags.sampled:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-01"


def read(traceparent: str) -> SpanContext:
    """The span a traceparent names; an invalid, unsampled one for rubbish."""
    found = _W3C.extract({"traceparent": traceparent}, context.Context())
    return trace.get_current_span(found).get_span_context()


def under(span: SpanContext) -> context.Context:
    """The context in which a new span has this one for its parent."""
    return trace.set_span_in_context(trace.NonRecordingSpan(span), context.Context())


class Started:
    """A span under way. Use it as a context manager; while it is open it is the current one."""

    def __init__(self, span: Span | None) -> None:
        self._span = span
        self._token: Any = None

    @property
    def traceparent(self) -> str | None:
        """W3C trace context (level 1) of this span for the next in line; None when off or not sampled."""
        return None if self._span is None else written(self._span.get_span_context())

    def set(self, **attributes: str | int | float | bool) -> None:
        """Add what became known. Ids and codes only, never addresses or content."""
        if self._span is not None:
            self._span.set_attributes(attributes)

    def record_error(self, error: BaseException) -> None:
        """Mark the span as failed. Only the kind of error is kept: its text may quote an address."""
        if self._span is not None:
            kind = type(error).__qualname__
            self._span.set_attribute("error.type", kind)
            self._span.set_status(Status(StatusCode.ERROR, kind))

    def __enter__(self) -> "Started":
        if self._span is not None:
            self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, _tb: TracebackType | None) -> None:
        if self._span is None:
            return
        if isinstance(error, Exception):
            self.record_error(error)
        context.detach(self._token)
        self._span.end()

"""Structured logs: one line an event, ids only, colours on a terminal and JSON elsewhere."""

import logging
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from threading import Lock
from typing import Any

import orjson
import structlog
from structlog.contextvars import bound_contextvars
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from observe import traces
from observe.privacy import clean
from settings import SettingsError

LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def get(name: str) -> FilteringBoundLogger:
    """The logger of a module, as in `log = logs.get(__name__)`; `log.info("batch started", batch=str(id))`."""
    return structlog.get_logger(logger_name=name)


def bound(**ids: object) -> AbstractContextManager[None]:
    """Every line logged inside carries these (`request_id`, `tenant`, `batch`), also in tasks started there."""
    return bound_contextvars(**{name: str(value) for name, value in ids.items()})


def configure(level: str, format: str) -> None:
    """Set up this process: its own events and those of libraries go to standard error, through one path.

    `level` is one of LEVELS, `format` is "json", "text" or "auto" (text on a terminal, else JSON).
    Raises SettingsError.
    """
    number = LEVELS.get(level.lower())
    if number is None:
        raise SettingsError(f"CLARION_LOG_LEVEL: {level!r} is none of {', '.join(LEVELS)}")
    terminal = sys.stderr.isatty()
    as_json = format == "json" or (format == "auto" and not terminal)
    structlog.configure(
        processors=[*_COMMON, _to_json if as_json else _to_text(colors=terminal)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )
    _route_libraries(number)


class _Lines:
    """Writes whole lines to standard error. A closed or full pipe never stops the work that is being logged."""

    def __init__(self, *_: object) -> None:
        self._stream = sys.stderr.buffer
        self._lock = Lock()

    def msg(self, line: bytes) -> None:
        """One event, already rendered."""
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(line + b"\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


class _Routed(logging.Handler):
    """Hands the records of libraries (uvicorn, temporalio, aiohttp) to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            get(record.name).log(_nearest(record.levelno), record.getMessage(), exc_info=record.exc_info)
        except Exception:
            self.handleError(record)


def _nearest(level: int) -> int:
    """One of the five levels everybody knows, for a library that has its own."""
    return min(max(level // 10 * 10, logging.DEBUG), logging.CRITICAL)


def _route_libraries(level: int) -> None:
    """Not below INFO, whatever our own level: at DEBUG the HTTP and SMTP libraries print bodies and addresses."""
    logging.basicConfig(handlers=[_Routed()], level=max(level, logging.INFO), force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if trace_id := traces.trace_id():
        event["trace_id"] = trace_id
    return event


def _hide(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return clean(event)


def _to_json(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)


def _to_text(*, colors: bool) -> Processor:
    # The plain traceback: rich's prints local variables, and with them addresses and bodies.
    console = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)

    def render(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        return console(logger, method, event).encode(errors="backslashreplace")

    return render


_COMMON: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    _add_trace,
    _hide,
]

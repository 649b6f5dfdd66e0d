"""Times as people write and read them: `2h`, `2026-03-01T09:00`, `3 s ago`."""

import re
from datetime import UTC, datetime, timedelta

import typer

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)\Z")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
HELP = "a span such as 90s, 30m, 2h, 7d, or a date and time such as 2026-03-01T09:00+01:00 (no zone: this machine's)"


def ago(text: str) -> str:
    """RFC 3339 for a span back from now, or a date and time. Raises typer.BadParameter."""
    return _moment(text, -1)


def ahead(text: str) -> str:
    """RFC 3339 for a span from now on, or a date and time. Raises typer.BadParameter."""
    return _moment(text, 1)


def span(text: str) -> timedelta:
    """A span of time such as `90s` or `2h`. Raises typer.BadParameter."""
    found = _SPAN.match(text.strip())
    try:
        if found:
            return timedelta(seconds=float(found[1]) * _UNITS[found[2]])
    except OverflowError:
        pass
    raise typer.BadParameter(f"{text!r} is no span of time: use one such as 90s, 30m, 2h or 7d")


def written(moment: datetime) -> str:
    """A time as the API writes it: RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parsed(text: str) -> datetime:
    """A time as the API writes it."""
    return datetime.fromisoformat(text)


def relative(text: str, now: datetime | None = None) -> str:
    """How long ago, or from now, in one unit."""
    seconds = ((now or datetime.now(UTC)) - parsed(text)).total_seconds()
    return f"{_amount(seconds)} ago" if seconds >= 0 else f"in {_amount(-seconds)}"


def lasting(since: str, now: datetime | None = None) -> str:
    """How long something that began then has lasted, in one unit."""
    return _amount(max(0.0, ((now or datetime.now(UTC)) - parsed(since)).total_seconds()))


def _amount(seconds: float) -> str:
    unit = next((unit for unit in ("d", "h", "m") if seconds >= _UNITS[unit]), "s")
    return f"{seconds / _UNITS[unit]:.0f} {'min' if unit == 'm' else unit}"


def _moment(text: str, direction: int) -> str:
    span = _SPAN.match(text.strip())
    try:
        if span:
            moment = datetime.now(UTC) + direction * timedelta(seconds=float(span[1]) * _UNITS[span[2]])
        else:
            moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is no time: use {HELP}") from None
    return written(moment)

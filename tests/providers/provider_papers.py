"""Writes the tables of docs/providers.md from the providers' own: `python tests/providers/provider_papers.py`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from domain.outcomes import Outcome
from providers.callback import CallbackSettings
from providers.registry import provider_classes
from settings import Section

PAPER = Path(__file__).parents[2] / "docs" / "providers.md"
MARK = "do not edit below -->\n"


def tables() -> str:
    """The part of the paper that is generated."""
    return "\n".join(("", *_settings(), "", *_errors(), ""))


def paper() -> str:
    """The whole paper as it should be."""
    return PAPER.read_text().partition(MARK)[0] + MARK + tables()


def _settings() -> Iterator[str]:
    yield "## Settings"
    yield "| variable | default | |"
    yield "| --- | --- | --- |"
    seen: set[type[Section]] = set()
    for cls in provider_classes().values():
        for section in cls.settings:  # type: ignore[attr-defined]
            if section not in seen:
                seen.add(section)
                yield from _section(section)
    yield from _section(CallbackSettings)


def _section(section: type[Section]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        variable = field.validation_alias or f"{section.model_config.get('env_prefix', '')}{name}".upper()
        secret = "secret" if SecretStr.__name__ in str(field.annotation) else ""
        notes = ", ".join(note for note in (secret, field.description) if note)
        yield f"| `{variable}` | {_default(field)} | {notes} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value: Any = field.default
    return "" if value is None else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _errors() -> Iterator[str]:
    yield "## Errors"
    yield "The most particular code decides: the vendor's own, the status, its class. Without any: `in_doubt`."
    for name, cls in provider_classes().items():
        yield f"\n### {name}"
        yield "| answer | codes |"
        yield "| --- | --- |"
        for outcome in Outcome:
            codes = [f"`{code}`" for code, its in cls.errors.items() if its is outcome]  # type: ignore[attr-defined]
            if codes:
                yield f"| `{outcome}` | {', '.join(codes)} |"


if __name__ == "__main__":
    PAPER.write_text(paper())

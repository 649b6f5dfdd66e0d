"""`.env.example` names every setting there is, no other, and shows the right defaults."""

import json
import re
from enum import Enum

import pytest
import sections
from pydantic import SecretStr
from pydantic.fields import FieldInfo

LINE = re.compile(r"^#?([A-Z][A-Z0-9_]+)=(.*)$", re.MULTILINE)
SHOWN: list[tuple[str, str]] = LINE.findall((sections.ROOT / ".env.example").read_text())
COMPOSE_ONLY = {
    "POSTGRES_PASSWORD",
    "TEMPORAL_POSTGRES_PASSWORD",
    "GRAFANA_PASSWORD",
    "CLARION_BIND",
    "CLARION_VERSION",
}


@pytest.fixture(scope="module")
def fields() -> dict[str, FieldInfo]:
    return sections.variables()


def written(field: FieldInfo) -> str:
    """A default as one would write it; empty for none."""
    default = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
    if default is None:
        return ""
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if isinstance(default, bool | dict):
        return json.dumps(default)
    if isinstance(default, Enum):
        return str(default.value)
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_every_setting_is_shown_once_and_nothing_else(fields: dict[str, FieldInfo]) -> None:
    names = [name for name, _ in SHOWN]
    assert len(set(names)) == len(names)
    assert set(names) - COMPOSE_ONLY == set(fields)


def test_defaults_are_right(fields: dict[str, FieldInfo]) -> None:
    shown = {name: value for name, value in SHOWN if name not in COMPOSE_ONLY}
    assert shown == {name: written(field) for name, field in fields.items()}


def test_compose_asks_for_nothing_else() -> None:
    compose = (sections.ROOT / "docker-compose.yml").read_text()
    asked = set(re.findall(r"\$\{([A-Z_]+)", compose))
    assert asked <= {name for name, _ in SHOWN}
    assert asked >= COMPOSE_ONLY


def test_only_the_secrets_to_fill_in_are_active() -> None:
    active = re.findall(r"^([A-Z_]+)=(.*)$", (sections.ROOT / ".env.example").read_text(), re.MULTILINE)
    secrets = ("CLARION_SECRET_KEY", "CLARION_ENCRYPTION_KEYS", "POSTGRES_PASSWORD", "TEMPORAL_POSTGRES_PASSWORD")
    assert active == [(name, "") for name in secrets]

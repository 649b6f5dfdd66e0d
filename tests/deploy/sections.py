"""Finds every setting: the fields of all subclasses of settings.Section, by the name of their variable."""

import importlib
import re
from pathlib import Path

from pydantic.fields import FieldInfo

from settings import Section

ROOT = Path(__file__).parents[2]
ROOMS = ("settings", "observe", "providers", "throttle", "ledger", "activities", "workers", "api", "cli")
_SUBCLASS = re.compile(r"^class \w+\(\w*(?:Section|Settings)\)", re.MULTILINE)


def variables() -> dict[str, FieldInfo]:
    """Every variable and its field. Imports only the modules that declare settings."""
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            if _SUBCLASS.search(file.read_text()):
                parts = file.relative_to(ROOT).with_suffix("").parts
                importlib.import_module(".".join(parts).removesuffix(".__init__"))
    return {
        field.validation_alias if isinstance(field.validation_alias, str) else f"{prefix}{name}".upper(): field
        for section in _below(Section)
        if (prefix := section.model_config.get("env_prefix")) and section.__module__.split(".")[0] in ROOMS
        for name, field in section.model_fields.items()
    }


def _below(section: type[Section]) -> list[type[Section]]:
    return [found for child in section.__subclasses__() for found in (child, *_below(child))]

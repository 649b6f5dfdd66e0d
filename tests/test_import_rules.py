"""Arrows between rooms only point down: who may import whom, as one table."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SIDE = {"settings", "observe"}
"""Small rooms that all but `domain` and `workflows` may use."""

MAY_IMPORT: dict[str, set[str]] = {
    "domain": set(),
    "workflows": {"domain"},
    "settings": set(),
    "observe": {"settings"},
    "ledger": {"domain", *SIDE},
    "throttle": {"domain", *SIDE},
    "providers": {"domain", *SIDE},
    "runs": {"domain", *SIDE},
    "activities": {"domain", "ledger", "throttle", "providers", "runs", *SIDE},
    "api": {"domain", "ledger", "throttle", "providers", "runs", *SIDE},
    "sandbox": set(),
}
"""Rooms that may import every other one are not here: workers, cli, bench."""

FREE = {"workers", "cli", "bench", "tests", "docs", "deploy"}


def rooms() -> set[str]:
    return {file.parent.name for file in ROOT.glob("*/__init__.py")}


def imported(room: str) -> Iterator[tuple[Path, str]]:
    """Every other room that a file of this room imports, also inside a function."""
    for file in sorted((ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            yield from ((file, name.split(".")[0]) for name in names)


def test_every_room_has_a_rule() -> None:
    assert rooms() - FREE == set(MAY_IMPORT)


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    other_rooms = (rooms() | FREE) - {room}
    wrong = [
        f"{file.relative_to(ROOT)}: {name}" for file, name in imported(room) if name in other_rooms - MAY_IMPORT[room]
    ]
    assert wrong == []

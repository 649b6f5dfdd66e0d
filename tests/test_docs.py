"""The papers say nothing that is not there: links, make targets, commands, settings and alerts they name exist."""

import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from cli.main import app

ROOT = Path(__file__).parents[1]
PAPERS = (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")))

LINK = re.compile(r"\]\(([^)\s]+)\)")
TARGET = re.compile(r"(?:^|[`\n])\s*make ([a-z][a-z-]*)")
COMMAND = re.compile(r"(?:^|[`\n/ ])clarion ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)")
SETTING = re.compile(r"\bCLARION_[A-Z0-9_]*[A-Z0-9]\b(?!…)")
FILE = re.compile(r"`((?:[a-z_]+/)+[a-z0-9_]+\.(?:py|yml|yaml|json|jsonl|sh|html))`")
"""A file of ours, by its path from the root."""

papers = pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))


@papers
def test_links_lead_somewhere(paper: Path) -> None:
    assert [link for link in LINK.findall(_text(paper)) if not _leads_somewhere(paper, link)] == []


@papers
def test_files_named_are_there(paper: Path) -> None:
    assert [name for name in FILE.findall(_text(paper)) if not (ROOT / name).exists()] == []


@papers
def test_make_targets_exist(paper: Path) -> None:
    known = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for code in _code(paper) for target in TARGET.findall(code)}
    assert named - known == set()


@papers
def test_commands_exist(paper: Path) -> None:
    named = {command for code in _code(paper) for command in COMMAND.findall(code)}
    assert {command for command in named if not _is_command(command)} == set()


@papers
def test_settings_exist(paper: Path) -> None:
    named = {name.removesuffix("_FILE") for name in SETTING.findall(_text(paper))} - {"CLARION_X"}
    assert named - _settings() == set()


def test_every_alert_has_its_place_in_the_runbook() -> None:
    groups = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    told = set(re.findall(r"^### (\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE))
    assert told == alerts


def test_commands_that_alerts_advise_exist() -> None:
    advised = set(COMMAND.findall((ROOT / "deploy/prometheus/alerts.yml").read_text()))
    assert {command for command in advised if not _is_command(command)} == set()


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs/decisions"
    listed = set(re.findall(r"\((\d{4}-[a-z0-9-]+\.md)\)", (folder / "README.md").read_text()))
    assert listed == {file.name for file in folder.glob("0*.md")}


@cache
def _text(paper: Path) -> str:
    return paper.read_text()


def _code(paper: Path) -> list[str]:
    """What a paper shows as code: fenced blocks without their comments, and what stands between backticks."""
    fences = re.findall(r"^```\w*\n(.*?)^```", _text(paper), re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`[^`\n]+`", re.sub(r"^```.*?^```", "", _text(paper), flags=re.MULTILINE | re.DOTALL))
    return [*(re.sub(r"(?<!\S)#.*", "", fence) for fence in fences), *inline]


def _leads_somewhere(paper: Path, link: str) -> bool:
    if link.startswith(("http://", "https://")):
        return True
    path, _, anchor = link.partition("#")
    target = (paper.parent / path).resolve() if path else paper
    return target.exists() and (not anchor or anchor in _anchors(target))


@cache
def _anchors(paper: Path) -> set[str]:
    """Headings as GitHub turns them into anchors."""
    headings = re.findall(r"^#+ (.+)$", paper.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _is_command(words: str) -> bool:
    """The first word is a command; if that is a group, the second is one of it."""
    first, _, second = words.partition(" ")
    top = get_command(app)
    found = top.commands.get(first) if isinstance(top, TyperGroup) else None
    if isinstance(found, TyperGroup) and second:
        return second in found.commands
    return found is not None


@cache
def _settings() -> frozenset[str]:
    """What `.env.example` shows (another test holds it against the code), and what code asks the environment for."""
    shown = re.findall(r"^#?(CLARION_[A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    files = (file for room in ("cli", "workers") for file in (ROOT / room).rglob("*.py"))
    asked = {name for file in files for name in re.findall(r'"(CLARION_[A-Z_]+)"', file.read_text())}
    return frozenset({*shown, *asked})

"""What holds for every command: help that teaches, a quick start, clear errors, clean output; and times."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import typer
from cli_side import CommandLine
from typer.core import TyperGroup
from typer.main import get_command

from cli import moments, output
from cli.main import app

CONTRACT = {"dev", "demo", "api", "worker", "migrate", "send", "status", "list", "tail", "dead-letters", "tenants"}
CONTRACT |= {"keys", "recipients", "providers", "doctor", "cancel", "metrics", "audit"}
WITH_DATA = {"audit", "demo", "send", "status", "list", "tail", "cancel", "metrics", "providers", "doctor"}
WITHOUT_DATA = {"recipients delete", "keys revoke", "suppressions remove"}


def commands() -> Iterator[str]:
    """Every command that does something, such as `keys create`."""
    top = get_command(app)
    assert isinstance(top, TyperGroup)
    for name, command in top.commands.items():
        if isinstance(command, TyperGroup):
            yield from (f"{name} {each}" for each in command.commands)
        if not isinstance(command, TyperGroup) or command.invoke_without_command:
            yield name


def test_every_command_of_the_contract_is_there() -> None:
    top = get_command(app)
    assert isinstance(top, TyperGroup)
    assert top.commands.keys() >= CONTRACT


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_that_prints_data_prints_json(command: str) -> None:
    found = get_command(app)
    for word in command.split():
        assert isinstance(found, TyperGroup)
        found = found.commands[word]
    has_json = any("--json" in parameter.opts for parameter in found.params)
    assert has_json == (command in WITH_DATA or (" " in command and command not in WITHOUT_DATA))
    assert found.help
    assert all(getattr(parameter, "help", True) for parameter in found.params if parameter.name != "help")


async def test_help_teaches_by_examples(alone: CommandLine) -> None:
    for words in ((), ("send",), ("dead-letters", "retry")):
        shown = await alone.process(*words, "--help")
        assert shown.code == 0
        assert f"  clarion {' '.join(words)}".rstrip() in shown.out
        assert "─" not in shown.out
    assert (await alone()).out == (await alone("-h")).out


async def test_a_command_that_is_not_there_is_one_line(alone: CommandLine) -> None:
    assert (await alone("sned")).err == "clarion: No such command 'sned'. Did you mean 'send'? See `clarion --help`.\n"
    nowhere = await alone("status", "x", "--nope")
    assert (nowhere.code, nowhere.err.count("\n")) == (2, 1)


async def test_nobody_there_is_one_line_with_a_way_out(alone: CommandLine) -> None:
    result = await alone("list", "--url", "http://127.0.0.1:1")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("Nothing answers at http://127.0.0.1:1: start it with `clarion dev`")


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://", "http://x:port"])
async def test_what_is_no_url_is_a_wrong_setting(alone: CommandLine, url: str) -> None:
    result = await alone.knowing(CLARION_URL=url)("list")
    assert (result.code, result.err.count("\n")) == (2, 1)


async def test_settings_come_from_dotenv_and_secret_files_too(alone: CommandLine) -> None:
    (alone.folder / ".env").write_text("CLARION_URL=http://127.0.0.1:2\n")
    assert "http://127.0.0.1:2" in (await alone("list")).err
    assert "http://127.0.0.1:3" in (await alone.knowing(CLARION_URL="http://127.0.0.1:3")("list")).err
    missing = await alone.knowing(CLARION_API_KEY_FILE="nowhere")("list")
    assert (missing.code, missing.err) == (2, "CLARION_API_KEY_FILE: cannot read nowhere: No such file or directory.\n")


def test_client_commands_load_no_engine() -> None:
    """They start fast because nothing of the servers' side is imported."""
    heavy = {"settings", "temporalio", "sqlalchemy", "asyncpg", "fastapi", "aiohttp", "rich", "redis", "structlog"}
    code = (
        "import sys; from cli.main import run; run(['list', '--url', 'http://127.0.0.1:1']); "
        f"print(*({heavy} & set(sys.modules)))"
    )
    # `rich` is not loaded either: this output is no terminal.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_what_others_wrote_cannot_steer_the_terminal() -> None:
    assert output.clean("a\x1b[31mb\nc\x07\u202e") == "a\\x1b[31mb\\nc\\x07\\u202e"
    assert output.clean("Grüße, 你好") == "Grüße, 你好"


def test_columns_are_aligned() -> None:
    assert output.aligned([["A", "B"], ["long", "x"]]) == ["A     B", "long  x"]


@pytest.mark.parametrize(
    ("text", "back"),
    [("90s", timedelta(seconds=90)), ("30m", timedelta(minutes=30)), ("1.5h", timedelta(hours=1.5))],
)
def test_spans_count_from_now(text: str, back: timedelta) -> None:
    now = datetime.now(UTC)
    assert abs(moments.parsed(moments.ago(text)) - (now - back)) < timedelta(seconds=5)
    assert abs(moments.parsed(moments.ahead(text)) - (now + back)) < timedelta(seconds=5)


def test_dates_without_a_zone_are_this_machines() -> None:
    assert moments.ago("2026-03-01T09:00+01:00") == "2026-03-01T08:00:00Z"
    assert moments.parsed(moments.ago("2026-03-01T09:00")) == datetime(2026, 3, 1, 9).astimezone()
    for wrong in ("soon", "", "99999999999d", "10 weeks"):
        with pytest.raises(typer.BadParameter):
            moments.ahead(wrong)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(3, "3 s ago"), (150, "2 min ago"), (7200, "2 h ago"), (200_000, "2 d ago"), (-300, "in 5 min")],
)
def test_relative_times(seconds: float, told: str) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert moments.relative(moments.written(now - timedelta(seconds=seconds)), now) == told

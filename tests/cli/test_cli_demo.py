"""`clarion demo`: from nothing to a receipted notification, and nothing left behind."""

import json
from pathlib import Path

import pytest
from cli_side import CommandLine

# Servers, API and workers of its own: on a busy machine of 2 cores that takes a while.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def demo(tmp_path: Path) -> CommandLine:
    """In a folder with settings that would break it, did it use them."""
    (tmp_path / ".env").write_text("CLARION_DATABASE_URL=nonsense\n")
    (tmp_path / "tmp").mkdir()
    return CommandLine(tmp_path, {"CLARION_CHANNELS": "{}", "CLARION_PORT": "1", "TMPDIR": str(tmp_path / "tmp")})


async def test_the_demo_ends_with_every_receipt_and_leaves_nothing(demo: CommandLine) -> None:
    result = await demo.process("demo", "--json")
    assert result.code == 0, result.err
    by_channel = {delivery["channel"]: delivery for delivery in json.loads(result.out)["deliveries"]}
    steps = {channel: [event["to"] for event in d["events"]] for channel, d in by_channel.items()}
    assert steps.pop("push") == ["QUEUED", "SENDING", "SENT"]
    assert set(steps) == {"email", "sms"}
    for told in steps.values():  # on a busy machine a receipt may overtake the vendor's own answer, which is told too
        assert list(dict.fromkeys(told)) in (
            ["QUEUED", "SENDING", "SENT", "DELIVERED"],
            ["QUEUED", "SENDING", "DELIVERED"],
        )
    assert list((demo.folder / "tmp").glob("clarion-demo-*")) == []


async def test_a_demo_that_cannot_start_says_why_and_where_the_log_is(demo: CommandLine) -> None:
    result = await demo.knowing(CLARION_TEMPORAL_BIN="/nowhere").process("demo")
    assert (result.code, result.out) == (2, "")
    [last] = result.err.splitlines()[-1:]
    assert last.startswith("CLARION_TEMPORAL_BIN: /nowhere is not a program that can be run. ")
    assert list((demo.folder / "tmp").glob("clarion-demo-*")) != []


async def test_ctrl_c_stops_it_cleanly(demo: CommandLine) -> None:
    running = await demo.start("demo", "--verbose")
    assert running.stderr
    said = b""
    while b"postgres" not in said:
        said = await running.stderr.readline()
        assert said
    result = await demo.interrupted(running)
    assert result.code == 130, result.err
    assert "Traceback" not in result.err
    assert list((demo.folder / "tmp").glob("clarion-demo-*")) == []

"""`clarion providers`: the list, with and without an API, and an operator's word."""

from collections.abc import Mapping

import pytest
import pytest_asyncio
from cli_side import CommandLine
from stage import SetStage, Stage

NOWHERE = "http://127.0.0.1:1"


@pytest_asyncio.fixture
async def stage(set_stage: SetStage) -> Stage:
    """Whoever sends something starts the workers."""
    return await set_stage(held=True)


async def _listed(clarion: CommandLine) -> dict[str, list[str]]:
    """The lines of the table by provider, cell by cell."""
    lines = (await clarion("providers")).out.splitlines()
    return {line.split()[0]: [cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines}


async def test_the_list_shows_how_each_stands(clarion: CommandLine) -> None:
    found = await _listed(clarion)
    assert found["PROVIDER"] == ["PROVIDER", "CHANNEL", "PLACE", "STATE", "SWITCH", "BREAKER", "WEIGHT", "PAUSED"]
    assert found["sendgrid"] == ["sendgrid", "email", "1", "set up", "enabled", "closed", "-", "-"]
    assert list(found) == ["PROVIDER", "sendgrid", "ses", "smtp", "fcm", "twilio", "sns"]


async def test_the_list_as_json_is_what_the_api_says(clarion: CommandLine, stage: Stage) -> None:
    listed = await clarion("providers", "--channel", "sms", "--json")
    _, answer = await stage.call("GET", "/providers")
    assert listed.json == [one for one in answer["data"] if one["channel"] == "sms"]


async def test_without_an_api_it_says_what_is_set_up_here(alone: CommandLine, whereabouts: Mapping[str, str]) -> None:
    here = alone.knowing(**whereabouts)
    ready = await here.process("providers", "--channel", "email", "--json", "--url", NOWHERE)
    assert ready.code == 0
    assert [(one["provider"], one["place"], one["missing"], one["breaker"]) for one in ready.json] == [
        ("sendgrid", 1, None, None),
        ("ses", 2, None, None),
        ("smtp", 3, None, None),
    ]
    assert ready.err.startswith(f"Nothing answers at {NOWHERE}") and "how they stand is unknown" in ready.err
    lacking = await alone.process("providers", "--url", NOWHERE)
    assert "CLARION_TWILIO_ACCOUNT_SID" in lacking.out


async def test_an_api_that_refuses_leaves_what_is_set_up_here(clarion: CommandLine) -> None:
    refused = await clarion.knowing(CLARION_API_KEY="clr_wrong").process("providers", "--json")
    assert (refused.code, {one["takes_new"] for one in refused.json}) == (0, {None})
    assert "No valid API key" in refused.err


async def test_disable_works_as_written(clarion: CommandLine) -> None:
    done = await clarion("providers", "disable", "sendgrid", "--reason", "invoice unpaid")
    assert (done.code, done.err) == (0, "")
    assert "disabled: invoice unpaid" in done.out
    assert (await _listed(clarion))["sendgrid"][4] == "disabled: invoice unpaid"


async def test_drain_weight_and_enable(clarion: CommandLine) -> None:
    async def says(*words: str) -> tuple[str, float | None]:
        done = await clarion.process("providers", *words, "--json")
        assert done.code == 0, done.err
        return done.json["operator"]["switch"], done.json["operator"]["weight"]

    assert await says("drain", "twilio", "--reason", "moving away", "--weight", "4") == ("draining", 4)
    assert await says("weight", "twilio", "0.5", "--reason", "a trial") == ("draining", 0.5)
    assert await says("enable", "twilio") == ("enabled", 0.5)
    assert await says("weight", "twilio", "none") == ("enabled", None)
    events = (await clarion.process("providers", "events", "twilio", "--json")).json
    assert [event["after"] for event in events] == [
        "enabled",
        "enabled, weight 0.5",
        "draining, weight 0.5",
        "draining, weight 4",
    ]


async def test_the_last_of_a_channel_is_stopped_with_a_warning(clarion: CommandLine) -> None:
    done = await clarion("providers", "disable", "fcm", "--reason", "no contract")
    assert (done.code, done.err) == (0, "Careful: no provider of push takes messages now.\n")


async def test_a_broken_vendor_is_shown_with_its_reason(clarion: CommandLine, stage: Stage) -> None:
    await stage.vendors.rule("twilio", answer={"status": 401})
    await stage.work()
    await stage.until(await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello"), "COMPLETED")
    assert (await _listed(clarion))["twilio"][5].startswith("open for ")
    events = await clarion("providers", "events")
    assert "closed -> open" in events.out
    shown = await clarion.on_terminal("providers")
    assert "\x1b[31mopen for" in shown.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("disable", "pigeon", "--reason", "x"), 1, "No such provider is set up; there are fcm, sendgrid"),
        (("events", "pigeon"), 1, "There is no such provider."),
        (("disable", "sendgrid"), 2, "Missing option '--reason'"),
        (("drain", "sendgrid", "--reason", ""), 2, "/reason"),
        (("weight", "sendgrid"), 2, "NUMBER|none"),
        (("weight", "sendgrid", "much"), 2, "'much' is neither a number nor `none`"),
        (("weight", "sendgrid", "1001"), 2, "/weight"),
        (("enable", "sendgrid", "--weight", "-1"), 2, "--weight"),
        (("--url", NOWHERE, "disable", "sendgrid", "--reason", "x"), 2, "say options after `disable`"),
        (("disable", "sendgrid", "--reason", "x", "--url", NOWHERE), 1, "Nothing answers"),
    ],
)
async def test_what_cannot_be_done_is_one_line(
    clarion: CommandLine, words: tuple[str, ...], code: int, said: str
) -> None:
    result = await clarion("providers", *words)
    assert (result.code, result.err.count("\n")) == (code, 1), result.err
    assert said in result.err


async def test_only_an_operators_key_may(clarion: CommandLine, set_stage: SetStage, stage: Stage) -> None:
    made = await clarion.knowing(CLARION_DATABASE_URL=_database_of(stage)).process(
        "keys", "create", "dev", "--role", "admin"
    )
    keyed = clarion.knowing(CLARION_API_KEY=made.out.strip())
    assert (await keyed("providers")).code == 0
    refused = await keyed("providers", "disable", "sendgrid", "--reason", "x")
    assert (refused.code, "needs operator" in refused.err) == (2, True)


async def test_help_shows_how(alone: CommandLine) -> None:
    for word in ("disable", "drain", "enable", "weight", "events"):
        shown = await alone("providers", word, "--help")
        assert f"  clarion providers {word} " in shown.out, shown.out


def _database_of(stage: Stage) -> str:
    return stage.db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)

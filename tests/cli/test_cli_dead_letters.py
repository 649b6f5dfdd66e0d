"""`clarion dead-letters`: list, retry and discard, by id and by filter."""

import asyncio

import pytest
import pytest_asyncio
from cli_side import CommandLine
from stage import SetStage, Stage


@pytest_asyncio.fixture
async def stage(set_stage: SetStage) -> Stage:
    """Nothing is tried twice."""
    return await set_stage(channels={name: {"retry": []} for name in ("push", "sms")})


async def _dead(stage: Stage, number: int = 1) -> list[str]:
    """Notifications by push that nobody would take; FCM is well again."""
    await stage.vendors.rule("fcm", answer={"status": 503})
    sent = [await stage.notify(channels=["push"], recipient_ids=["ada"], message="Hello") for _ in range(number)]
    for one in sent:
        await stage.until(one, lambda status: status["channel_statuses"]["push"] == "DEAD")
    await stage.vendors.reset()
    return sent


async def _letters(clarion: CommandLine, *filters: str) -> list[str]:
    listed = await clarion("dead-letters", "list", "--json", *filters)
    return [letter["delivery_id"] for letter in listed.json["data"]]


async def test_list_shows_why_and_takes_filters(clarion: CommandLine, stage: Stage) -> None:
    await _dead(stage)
    listed = await clarion("dead-letters", "list", "--channel", "push", "--provider", "fcm", "--since", "1h")
    heading, row = listed.out.splitlines()
    assert heading.split()[:3] == ["DELIVERY", "TENANT", "CHANNEL"]
    assert row.split()[1:5] == ["dev", "push", "ada", "fcm"]
    assert await _letters(clarion, "--channel", "sms") == []


async def test_retry_one(clarion: CommandLine, stage: Stage) -> None:
    [n] = await _dead(stage)
    [letter] = await _letters(clarion)
    retried = await clarion("dead-letters", "retry", letter)
    assert (retried.code, retried.err) == (0, "")
    assert retried.out.splitlines()[1].split() == [letter, "QUEUED"]
    await stage.until(n, "COMPLETED")
    again = await clarion("dead-letters", "retry", letter)
    assert (again.code, again.out) == (1, "")
    assert letter in again.err


async def test_retry_many_counts_and_wants_a_yes(clarion: CommandLine, stage: Stage) -> None:
    sent = await _dead(stage, 3)
    asked = await clarion("dead-letters", "retry", "--channel", "push")
    assert (asked.code, asked.err) == (2, "This would retry 3 dead letters: say --yes to do it.\n")
    assert len(await _letters(clarion)) == 3
    done = await clarion("dead-letters", "retry", "--channel", "push", "--yes", "--json")
    assert (done.code, done.json) == (0, {"matched": 3, "retried": 3})
    for one in sent:
        await stage.until(one, "COMPLETED")


async def test_a_person_is_asked_and_may_say_no(clarion: CommandLine, stage: Stage) -> None:
    await _dead(stage)
    no = await clarion.on_terminal("dead-letters", "discard", "--all", keys="n\n")
    assert no.code == 130
    assert "Discard 1 dead letter?" in no.out
    assert len(await _letters(clarion)) == 1
    yes = await clarion.on_terminal("dead-letters", "discard", "--all", keys="y\n")
    assert yes.code == 0
    assert "1 of 1 dead letter discarded" in yes.out
    assert await _letters(clarion) == []


async def test_retry_through_another_provider_of_the_route(clarion: CommandLine, stage: Stage) -> None:
    for vendor in ("twilio", "sns"):
        await stage.vendors.rule(vendor, answer={"status": 503})
    n = await stage.notify(channels=["sms"], recipient_ids=["ada"], message="Hello")
    await stage.until(n, lambda status: status["channel_statuses"]["sms"] == "DEAD")
    await stage.vendors.reset()
    done = await clarion("dead-letters", "retry", "--provider", "sns", "--through", "sns", "--yes")
    assert (done.code, done.out) == (0, "1 of 1 dead letter retried\n")
    status = await stage.until(n, "COMPLETED")
    assert status["deliveries"][0]["provider"] == "sns"


async def test_discard_many(clarion: CommandLine, stage: Stage) -> None:
    sent = await _dead(stage, 3)
    [first, *_] = await _letters(clarion)
    assert (await clarion("dead-letters", "discard", first)).code == 0
    done = await clarion("dead-letters", "discard", "--provider", "fcm", "--yes")
    # The stage logs in this process, and so into what is captured here.
    assert (done.code, done.out.splitlines()[-1]) == (0, "2 of 2 dead letters discarded")
    statuses = await asyncio.gather(*(stage.until(one, "FAILED") for one in sent))
    assert [status["deliveries"][0]["reason"] for status in statuses] == ["discarded"] * 3


async def test_nothing_to_do_is_no_failure(clarion: CommandLine) -> None:
    for action, done in (("retry", "retried"), ("discard", "discarded")):
        result = await clarion("dead-letters", action, "--all")
        assert (result.code, result.out) == (0, f"0 of 0 dead letters {done}\n")


@pytest.mark.parametrize("words", [(), ("--all", "--channel", "sms"), ("some.id", "--all")])
async def test_which_letters_is_said_in_one_way(alone: CommandLine, words: tuple[str, ...]) -> None:
    for action in ("retry", "discard"):
        result = await alone("dead-letters", action, *words)
        assert result.code == 2
        assert "say which" in result.err

"""`clarion send` and `clarion status`: what they print, for people, pipes and programs, and how they end."""

import asyncio
import json

import pytest
from cli_side import CommandLine
from front import front_of
from stage import Stage

ESCAPE = "\x1b"
BOXES = "─│┌└├━┃"


async def test_send_prints_the_id_and_nothing_else(clarion: CommandLine, stage: Stage) -> None:
    sent = await clarion.process("send", "Hello", "--to", "ada@example.com", "--channel", "email")
    assert (sent.code, sent.err) == (0, "")
    await stage.until(sent.out.strip(), "COMPLETED")


async def test_every_part_of_a_message_arrives(clarion: CommandLine, stage: Stage) -> None:
    (clarion.folder / "news.html").write_text("<p>Hello</p>")
    recipient = {"id": "ada", "email": "ada@example.com", "push_token": "phone"}
    sent = await clarion.process(
        *("send", "-", "--recipient", json.dumps(recipient), "-c", "email,push"),
        *("--subject", "News", "--html", "news.html", "--title", "Read this", "--priority", "high"),
        *("--metadata", "order=7", "--metadata", '{"deep": [1]}', "--expires", "1h", "--json"),
        stdin="Hello from a pipe",
    )
    assert sent.code == 0, sent.err
    status = await stage.until(sent.json["id"], "COMPLETED")
    assert (status["priority"], status["metadata"]) == ("high", {"order": "7", "deep": [1]})
    [mail], [push] = await stage.vendors.log("sendgrid"), await stage.vendors.log("fcm")
    assert (mail["subject"], mail["text"], mail["html"]) == ("News", "Hello from a pipe", "<p>Hello</p>")
    assert push["subject"] == "Read this"


async def test_an_idempotency_key_sends_once(clarion: CommandLine, stage: Stage) -> None:
    words = ("send", "Hello", "--to", "ada@example.com", "-c", "email", "--idempotency-key", "k1")
    first, second = await clarion(*words), await clarion(*words)
    assert first.out == second.out
    await stage.until(first.out.strip(), "COMPLETED")
    assert len(await stage.vendors.log("sendgrid")) == 1


async def test_watching_tells_every_step_with_provider_and_the_vendors_id(clarion: CommandLine, stage: Stage) -> None:
    async with front_of(stage.url) as front:
        await stage.vendors.calls_back(f"{front.url}/webhook")
        await front.go()  # no receipt overtakes what is seen before it: the vendor posts it again
        sending = await clarion.start("send", "Hello", "--to", "ada", "-c", "email,push", "--watch")
        out = await clarion.until(sending, "by sendgrid, vendor's id")
        await front.come()
        rest, errors = await sending.communicate()
    assert (sending.returncode, errors) == (0, b"")
    out += rest.decode()
    [mail] = await stage.vendors.log("sendgrid")
    email = [line.split(maxsplit=4)[4] for line in out.splitlines() if "  email  " in line]
    assert [" ".join(line.split()) for line in email] == [
        "queued for sendgrid",
        "sending by sendgrid",
        f"sent by sendgrid, vendor's id {mail['message_id']}",
        "delivered signed receipt of sendgrid",
    ]
    assert out.splitlines()[-1] == "COMPLETED"
    assert ESCAPE not in out


async def test_watching_as_json_and_on_a_terminal(clarion: CommandLine) -> None:
    sent = await clarion("send", "Hello", "--to", "ada", "-c", "sms", "--watch", "--json")
    *events, end = sent.json_lines
    assert events[0]["to"] == "QUEUED"
    assert [event["channel"] for event in events] == ["sms"] * len(events)
    assert end["status"] == "COMPLETED"
    shown = await clarion.on_terminal("send", "Hello", "--to", "ada", "-c", "push", "--watch")
    assert shown.code == 0
    assert ESCAPE in shown.out
    assert "by fcm, vendor's id" in shown.out.rpartition("COMPLETED")[2]


async def test_watching_goes_on_when_the_api_comes_back(clarion: CommandLine, stage: Stage) -> None:
    await stage.vendors.rule("sendgrid", receipt={"delay": 4})
    n = await stage.notify(channels=["email"], recipient_ids=["ada"], message="Hello")
    async with front_of(stage.url) as front:
        watching = await clarion.start("status", n, "--watch", "--url", front.url)
        await clarion.until(watching, "sent")
        await front.go()
        await asyncio.sleep(1)
        await front.come()
        printed = await clarion.until(watching, "COMPLETED")
        _, errors = await watching.communicate()
    assert (watching.returncode, errors) == (0, b"")
    assert "signed receipt of sendgrid" in printed


async def test_watching_what_fails_ends_with_1(clarion: CommandLine, stage: Stage) -> None:
    await stage.vendors.rule("fcm", answer={"status": 400})
    sent = await clarion("send", "Hello", "--to", "ada", "-c", "push", "--watch")
    assert sent.code == 1
    assert sent.out.splitlines()[-1] == "FAILED"


async def test_status_is_plain_when_piped_and_coloured_on_a_terminal(clarion: CommandLine, stage: Stage) -> None:
    n = await stage.notify(channels=["email"], recipient_ids=["ada"], message="Hello")
    said = await stage.until(n, "COMPLETED")
    piped, shown = await clarion("status", n), await clarion.on_terminal("status", n, "--events")
    assert piped.code == shown.code == 0
    assert not set(piped.out) & {ESCAPE, *BOXES}
    assert f"notification  {n}" in piped.out
    assert "DELIVERED  sendgrid" in piped.out
    assert ESCAPE in shown.out
    assert "signed receipt of sendgrid" in shown.out
    assert (await clarion("status", n, "--events", "--json")).json == said


async def test_status_shows_the_first_hundred_deliveries_or_all(clarion: CommandLine, stage: Stage) -> None:
    n = await stage.notify(channels=["push"], recipient_ids=[f"p{i}" for i in range(120)], message="Hello")
    first, every = await clarion("status", n, "--json"), await clarion("status", n, "--all", "--json")
    assert len(first.json["deliveries"]) == 100
    assert "100 of 120" in first.err
    assert len({delivery["id"] for delivery in every.json["deliveries"]}) == 120
    assert every.err == ""


async def test_what_the_api_refuses_is_one_line_and_2(clarion: CommandLine) -> None:
    for words, said in (
        (("send", "Hi", "--to", "ada", "-c", "fax"), "No channel of this name; there are email, push, sms."),
        (("send", "Hi", "-c", "sms"), "1 to 1000 recipients"),
        (("send", "Hi", "--to", "ada", "-c", "sms", "--priority", "urgent"), "/priority"),
    ):
        result = await clarion(*words)
        assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
        assert said in result.err
    unknown = await clarion("status", "01890a5d-ac96-774b-bcce-b302099a8057")
    assert (unknown.code, unknown.out, unknown.err) == (1, "", "Not found. There is no such notification.\n")
    stranger = await clarion.knowing(CLARION_API_KEY="clr_nonsense")("list")
    assert stranger.code == 2
    assert "Set CLARION_API_KEY" in stranger.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--to", "ada", "-c", "sms"), "say something"),
        (("Hi", "--message-file", "x", "--to", "ada", "-c", "sms"), "not both"),
        (("--message-file", "nowhere", "--to", "ada", "-c", "sms"), "cannot read nowhere: No such file"),
        (("Hi", "--to", "ada", "-c", "sms", "--at", "soon"), "'soon' is no time"),
        (("Hi", "--recipient", "[1]", "-c", "sms"), "no JSON object"),
        (("Hi", "--to", "ada", "-c", "sms", "--metadata", "x"), "neither KEY=VALUE nor a JSON object"),
    ],
)
async def test_what_makes_no_sense_is_one_line_and_2(alone: CommandLine, words: tuple[str, ...], said: str) -> None:
    result = await alone("send", *words)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert said in result.err

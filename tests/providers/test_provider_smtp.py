"""SMTP alone: what each stage's refusal means, kept connections, TLS, mail as it goes over the wire."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from vendor_side import MAIL, PATIENT, TEXT, Make, Sandbox, message

from domain.messages import Content, Sender
from domain.outcomes import Answer, Outcome
from settings import SettingsError


@dataclass
class Server:
    """A mail server by hand: one reply for each command word; `None` hangs up, `...` says nothing more."""

    replies: dict[str, str | None] = field(default_factory=dict)
    greeting: str = "220 ready"
    connections: int = 0
    commands: list[str] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        writer.write(f"{self.greeting}\r\n".encode())
        try:
            while line := await reader.readline():
                word = line.split(b":")[0].split()[0].decode().upper()
                self.commands.append(line.decode().strip())
                reply = self.replies.get(word, {"EHLO": "250-me\r\n250 8BITMIME", "DATA": "354 go"}.get(word, "250 ok"))
                if reply == "...":
                    await reader.read()
                if reply is None:
                    break
                writer.write(f"{reply}\r\n".encode())
                if word == "DATA" and reply.startswith("354"):
                    content = await reader.readuntil(b"\r\n.\r\n")
                    self.contents.append(content[:-3].replace(b"\r\n..", b"\r\n."))  # RFC 5321, 4.5.2
                    end = self.replies.get("END", "250 queued")
                    if end is None:
                        break
                    writer.write(f"{end}\r\n".encode())
                if word == "QUIT" or reply.startswith("421"):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        writer.close()


@asynccontextmanager
async def _running(server: Server) -> AsyncIterator[str]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    try:
        yield str(listening.sockets[0].getsockname()[1])
    finally:
        listening.close()
        await listening.wait_closed()


async def _answers(make: Make, server: Server, times: int = 1, to: str = MAIL) -> list[Answer]:
    timeout = 3 if "..." in server.replies.values() else PATIENT
    async with _running(server) as port:
        provider = make("smtp", CLARION_SMTP_PORT=port, CLARION_SMTP_USERNAME="")
        answers = [(await provider.send([message(to)], timeout))[0] for _ in range(times)]
        await provider.close()
    return answers


@pytest.mark.parametrize(
    ("server", "outcome", "reason"),
    [
        (Server(greeting="421 too many"), Outcome.VENDOR_DOWN, "421 connect"),
        (Server(greeting="554 go away"), Outcome.VENDOR_DOWN, "554 connect"),
        (Server({"EHLO": "502 what", "HELO": "502 what"}), Outcome.VENDOR_DOWN, "502 connect"),
        (Server({"MAIL": "421 slow down"}), Outcome.THROTTLED, "421"),
        (Server({"MAIL": "451 later"}), Outcome.RETRYABLE, "451"),
        (Server({"MAIL": "530 who are you"}), Outcome.VENDOR_DOWN, "530"),
        (Server({"MAIL": f"550 {MAIL} may not send"}), Outcome.RETRYABLE, "550 sender"),
        (Server({"MAIL": None}), Outcome.RETRYABLE, "SMTPServerDisconnected"),
        (Server({"MAIL": "..."}), Outcome.RETRYABLE, "TimeoutError"),
        (Server({"RCPT": f"450 {MAIL} greylisted"}), Outcome.RETRYABLE, "450"),
        (Server({"RCPT": f"550 {MAIL} unknown"}), Outcome.REJECTED, "550"),
        (Server({"RCPT": None}), Outcome.RETRYABLE, "SMTPServerDisconnected"),
        (Server({"DATA": "452 full"}), Outcome.RETRYABLE, "452"),
        (Server({"DATA": "554 no"}), Outcome.REJECTED, "554"),
        (Server({"END": "451 later"}), Outcome.RETRYABLE, "451"),
        (Server({"END": "554 spam"}), Outcome.REJECTED, "554"),
        (Server({"END": None}), Outcome.IN_DOUBT, "SMTPServerDisconnected"),
        (Server({"END": "gibberish"}), Outcome.IN_DOUBT, "unreadable"),
    ],
    ids=lambda value: " ".join(f"{k}={v}" for k, v in value.replies.items()) if isinstance(value, Server) else "",
)
async def test_each_stage_has_its_meaning(server: Server, outcome: Outcome, reason: str, make: Make) -> None:
    (answer,) = await _answers(make, server)
    assert (answer.outcome, answer.reason) == (outcome, reason)


async def test_a_connection_is_kept_for_the_next_mail(make: Make) -> None:
    server = Server()
    assert {answer.outcome for answer in await _answers(make, server, times=3)} == {Outcome.ACCEPTED}
    assert server.connections == 1


async def test_after_a_refusal_the_next_mail_begins_anew_on_the_same_connection(make: Make) -> None:
    server = Server({"RCPT": "550 unknown"})
    await _answers(make, server, times=2)
    assert server.connections == 1
    assert [line.split(":")[0].split()[0].upper() for line in server.commands[1:5]] == ["MAIL", "RCPT", "RSET", "MAIL"]


async def test_after_a_doubt_the_connection_is_not_used_again(make: Make) -> None:
    server = Server({"END": "gibberish"})
    await _answers(make, server, times=2)
    assert server.connections == 2


async def test_an_address_beyond_ascii_needs_a_server_that_can(make: Make, vendors: Sandbox) -> None:
    address = "zoë@example.com"
    (answer,) = await _answers(make, Server(), to=address)
    assert (answer.outcome, answer.reason) == (Outcome.REJECTED, "553 smtputf8")
    (answer,) = await make("smtp").send([message(address)], PATIENT)
    assert answer.outcome is Outcome.ACCEPTED
    (taken,) = await vendors.log("smtp")
    assert taken["to"] == address


async def test_a_server_without_starttls_is_not_used_where_it_is_wanted(make: Make) -> None:
    server = Server()
    async with _running(server) as port:
        provider = make("smtp", CLARION_SMTP_PORT=port, CLARION_SMTP_TLS="starttls")
        (answer,) = await provider.send([message(MAIL)], PATIENT)
        assert answer.outcome is Outcome.VENDOR_DOWN
        with pytest.raises(SettingsError, match="CLARION_SMTP_HOST"):
            await provider.check()
    assert not any(line.startswith(("MAIL", "AUTH")) for line in server.commands)


def test_a_way_of_tls_that_is_none_is_a_wrong_setting(make: Make) -> None:
    with pytest.raises(SettingsError, match="CLARION_SMTP_TLS"):
        make("smtp", CLARION_SMTP_TLS="maybe")


async def test_no_more_connections_than_the_pool_has(make: Make, vendors: Sandbox) -> None:
    most, now = 0, 0
    served = Server.serve

    @dataclass
    class Counting(Server):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal most, now
            now += 1
            most = max(most, now)
            await served(self, reader, writer)
            now -= 1

    async with _running(Counting()) as port:
        provider = make("smtp", CLARION_SMTP_PORT=port, CLARION_SMTP_USERNAME="")
        answers = await asyncio.gather(*(provider.send([message(MAIL)], PATIENT) for _ in range(100)))
        await provider.close()
    assert {answer.outcome for (answer,) in answers} == {Outcome.ACCEPTED}
    assert 1 < most <= provider.card.concurrency


async def _wire(make: Make, **changes: object) -> tuple[email.message.EmailMessage, bytes]:
    server = Server()
    async with _running(server) as port:
        provider = make("smtp", CLARION_SMTP_PORT=port, CLARION_SMTP_USERNAME="")
        ((answer),) = await provider.send([message(MAIL, **changes)], PATIENT)
        assert answer.outcome is Outcome.ACCEPTED
        await provider.close()
    parsed = email.message_from_bytes(server.contents[0], policy=email.policy.default)
    assert isinstance(parsed, email.message.EmailMessage)
    return parsed, server.contents[0]


async def test_the_mail_has_both_parts_and_our_key(make: Make) -> None:
    sent = message(MAIL)
    mail, _ = await _wire(make, key=sent.key)
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().strip() == TEXT
    assert html.get_content().strip() == f"<p>{TEXT}</p>"
    assert mail["X-Clarion-Key"] == str(sent.key)
    assert mail["Message-ID"] == f"<{sent.key}@sandbox.example>"
    assert mail["Subject"] == "Ada's code"


@pytest.mark.parametrize("text", ["Grüße 🎉 " * 200, "x" * 5000, ".\r\n.\r\n..", "a\nb\rc\r\nd", "=3D & <b>", ""])
async def test_any_text_arrives_in_short_lines(text: str, make: Make) -> None:
    mail, wire = await _wire(make, content=Content(text=text, subject="Über alles " * 20))
    assert mail.get_content().split() == text.split()
    assert mail.get_content().splitlines() == text.splitlines()
    assert max(len(line) for line in wire.split(b"\r\n")) <= 998
    assert mail["Subject"] == ("Über alles " * 20).strip()


async def test_no_header_can_be_smuggled_in(make: Make) -> None:
    evil = "x\r\nBcc: everybody@example.com\r\n\r\nbody"
    sender = Sender(email=f'"{evil}" <a@tenant.example>', reply_to=f"{evil} <b@tenant.example>")
    mail, _ = await _wire(make, content=Content(text="hi", subject=evil), sender=sender)
    assert mail["Bcc"] is None
    assert mail.get_content().strip() == "hi"
    assert "Bcc:" in mail["Subject"]

"""A mail server that takes everything in, and refuses what its rules tell it to."""

import asyncio
import logging
import secrets
import socket
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from sandbox import ids
from sandbox.control import Answer
from sandbox.desk import CallRules
from sandbox.messages import Message
from sandbox.mime import read_mime
from sandbox.vendors.base import Vendor

_TEXTS = {  # RFC 5321 reply codes with RFC 3463 enhanced codes
    421: "4.3.2 Service not available, closing transmission channel",
    429: "4.7.0 Too many messages, slow down",
    450: "4.2.1 Mailbox unavailable",
    451: "4.3.0 Local error in processing",
    452: "4.3.1 Insufficient system storage",
    550: "5.1.1 No such user here",
    552: "5.2.2 Mailbox full",
    554: "5.7.1 Rejected",
}


class Smtp(Vendor[str]):
    """Email without receipts. Error answers are given at RCPT, silence and cuts after the final dot."""

    name = "smtp"

    def refusal(self, answer: Answer) -> str:
        """One reply line; 429, which SMTP has not, becomes 450. `code` is the enhanced code."""
        status = 450 if answer.status == 429 else answer.status
        text = _TEXTS.get(answer.status, "Refused")
        return f"{status} {text if answer.code is None else f'{answer.code} refused'}"


class _Envelope(Envelope):
    """Remembers its rules: they are drawn once for a message."""

    rules: CallRules | None = None


class _Protocol(SMTP):
    def _create_envelope(self) -> Envelope:
        return _Envelope()


class _Handler:
    """aiosmtpd's hooks."""

    def __init__(self, vendor: Smtp) -> None:
        self._vendor = vendor

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: _Envelope, address: str, options: list[str]
    ) -> str:
        """The place where real servers refuse."""
        envelope.rules = envelope.rules or self._vendor.desk.open_call()
        live = envelope.rules.rule_for(address)
        refusal = self._vendor.refused_by(live)
        if refusal is not None:
            await asyncio.sleep(live.wait())
            if refusal.startswith("421") and server.transport is not None:
                asyncio.get_running_loop().call_later(0.05, server.transport.close)
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: _Envelope) -> str:
        """After the final dot."""
        message_id = ids.hexadecimal(8)
        rules = envelope.rules or self._vendor.desk.open_call()
        live = rules.rule_for(envelope.rcpt_tos[0])
        answer = f"250 2.0.0 OK queued as {message_id}"
        turn = await self._vendor.accept(_messages(envelope, message_id), answer, live, rules)
        if turn.answer is None:
            await asyncio.Event().wait()  # aiosmtpd cancels this when the client hangs up
            raise AssertionError("unreachable")
        if turn.cut and server.transport is not None:
            server.transport.close()
        return turn.answer


def _messages(envelope: Envelope, message_id: str) -> list[Message]:
    content = envelope.content if isinstance(envelope.content, bytes) else b""
    mail = read_mime(content)
    headers = {name.lower(): value for name, value in mail.headers.items()}
    return [
        Message(
            id=message_id,
            to=address,
            key=headers.get("x-clarion-key"),
            subject=mail.subject,
            text=mail.text,
            html=mail.html,
            sender=mail.sender or envelope.mail_from,
            traceparent=headers.get("x-traceparent") or headers.get("traceparent"),
            extra=mail.headers,
        )
        for address in envelope.rcpt_tos
    ]


@asynccontextmanager
async def listening(vendor: Smtp, door: socket.socket) -> AsyncIterator[None]:
    """Serve SMTP on a listening socket."""
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    given = vendor.shared.credentials
    expected = LoginPassword(given.smtp_username.encode(), given.smtp_password.encode())

    def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
        same = isinstance(data, LoginPassword) and secrets.compare_digest(b"\0".join(data), b"\0".join(expected))
        if not same:
            vendor.shared.refused[vendor.name] += 1
        return AuthResult(success=same, handled=False)

    def protocol() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "Requiring AUTH while not requiring TLS": on purpose, here
            return _Protocol(
                _Handler(vendor),
                hostname="sandbox.example",
                ident="Clarion sandbox",
                auth_required=True,
                auth_require_tls=False,
                authenticator=authenticate,
                enable_SMTPUTF8=True,
                loop=asyncio.get_running_loop(),
            )

    server = await asyncio.get_running_loop().create_server(protocol, sock=door)
    try:
        yield
    finally:
        server.close()

"""The sandbox's mail server, called with aiosmtplib."""

import asyncio
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import pytest
from sandbox_side import PATIENT, Sandbox, is_never_answered


def _mail() -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "shop@example.com", "ada@example.com", "Grüße"
    mail["X-Clarion-Key"] = "key.1"
    mail.set_content("Hello there\n  and indented")
    mail.add_alternative("<p>Hello</p>", subtype="html")
    return mail


async def _send(sandbox: Sandbox, **changes: Any) -> str:
    settings = {
        "hostname": "127.0.0.1",
        "port": sandbox.smtp_port,
        "username": sandbox.credentials.smtp_username,
        "password": sandbox.credentials.smtp_password,
        "start_tls": False,
        "timeout": PATIENT,
        **changes,
    }
    return (await aiosmtplib.send(_mail(), recipients=["ada@example.com", "bob@example.com"], **settings))[1]


async def test_a_mail_is_taken_and_logged_for_each_of_the_envelope(sandbox: Sandbox) -> None:
    answer = await _send(sandbox)
    first, second = await sandbox.log("smtp")
    assert (first["to"], second["to"]) == ("ada@example.com", "bob@example.com")
    assert (first["key"], first["subject"], first["html"].strip()) == ("key.1", "Grüße", "<p>Hello</p>")
    assert first["text"].split() == ["Hello", "there", "and", "indented"]
    assert "\n  and" in first["text"]
    assert first["extra"]["X-Clarion-Key"] == "key.1"
    assert first["message_id"] in answer


async def test_only_the_password_opens(sandbox: Sandbox) -> None:
    with pytest.raises(aiosmtplib.SMTPAuthenticationError):
        await _send(sandbox, password="wrong")
    with pytest.raises(aiosmtplib.SMTPException):
        await _send(sandbox, username=None, password=None)
    assert await sandbox.log("smtp") == []


@pytest.mark.parametrize(("status", "expected"), [(550, 550), (451, 451), (429, 450)])
async def test_refusals_come_at_rcpt(sandbox: Sandbox, status: int, expected: int) -> None:
    await sandbox.rules("smtp", {"answer": {"status": status}})
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
        await _send(sandbox)
    assert {one.code for one in refused.value.recipients} == {expected}
    assert (await sandbox.counts("smtp"))["refused"] == 2


async def test_only_the_matching_recipient_is_refused(sandbox: Sandbox) -> None:
    await sandbox.rules("smtp", {"to": "ADA@*", "answer": {"status": 550, "code": "5.1.1"}})
    await _send(sandbox)
    assert [line["to"] for line in await sandbox.log("smtp")] == ["bob@example.com"]


@pytest.mark.parametrize(("hang", "taken"), [("before", 0), ("after", 2)])
async def test_silence_after_the_final_dot(sandbox: Sandbox, hang: str, taken: int) -> None:
    await sandbox.rules("smtp", {"hang": hang})
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=sandbox.smtp_port, start_tls=False)
    async with client:
        await client.login(sandbox.credentials.smtp_username, sandbox.credentials.smtp_password)
        recipients = ["ada@example.com", "bob@example.com"]
        sending = asyncio.ensure_future(client.send_message(_mail(), recipients=recipients))
        await sandbox.logged("smtp", taken)  # it may be slow to arrive
        await is_never_answered(sending)
        client.close()  # a QUIT would not be answered either
    assert len(await sandbox.log("smtp")) == taken


async def test_a_cut_after_the_final_dot(sandbox: Sandbox) -> None:
    await sandbox.rules("smtp", {"reset": True})
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await _send(sandbox)
    assert len(await sandbox.log("smtp")) == 2


async def test_421_closes_the_connection(sandbox: Sandbox) -> None:
    await sandbox.rules("smtp", {"answer": {"status": 421}})
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=sandbox.smtp_port, start_tls=False)
    async with client:
        await client.login(sandbox.credentials.smtp_username, sandbox.credentials.smtp_password)
        await client.mail("shop@example.com")
        with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
            await client.rcpt("ada@example.com")
        assert refused.value.code == 421
        async with asyncio.timeout(PATIENT):
            while client.is_connected:
                await asyncio.sleep(0.02)

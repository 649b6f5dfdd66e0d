"""Plain SMTP: any mail server, over a small pool of kept connections."""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar

from aiosmtplib import SMTP, SMTPException, SMTPResponseException, SMTPSenderRefused
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from domain.messages import Card, Message
from domain.outcomes import Answer, Outcome, accepted, in_doubt, vendor_down
from providers.base import Provider
from providers.email.mail import MailSettings, from_address, name_and_address
from providers.email.mime import mime
from providers.email.smtp_pool import CONNECTIONS, REFUSALS, SmtpPool
from providers.errors import ErrorMap, refused
from settings import Section, SettingsError


class Tls(StrEnum):
    """How a connection is made safe."""

    STARTTLS = "starttls"  # required: a server without it is not used
    TLS = "tls"
    NONE = "none"


class SmtpSettings(Section):
    """Which mail server, and who we are there."""

    model_config = SettingsConfigDict(env_prefix="CLARION_SMTP_")

    host: str
    port: int | None = Field(None, ge=1, le=65535, description="unset: 587 with starttls, 465 with tls, else 25")
    username: str | None = None
    password: SecretStr | None = None
    tls: Tls = Tls.STARTTLS


class Smtp(Provider):
    """Email by any SMTP server."""

    card = Card("smtp", "email", receipts=False, concurrency=CONNECTIONS)
    settings: ClassVar = (SmtpSettings, MailSettings)

    # RFC 5321, 4.2.1 and 4.2.2, and RFC 4954, 6, for the codes; `connect` is all before MAIL: greeting, TLS, login.
    errors: ClassVar[ErrorMap] = {
        "connect": Outcome.VENDOR_DOWN,  # 421, 454, 530, 535, 554: it does not let us in
        "sender": Outcome.RETRYABLE,  # MAIL refused for good: a tenant's sender; another vendor may know it
        "smtputf8": Outcome.REJECTED,  # RFC 6531, 3.2: the address needs what this server cannot do
        "421": Outcome.THROTTLED,  # in mid-session: it has had enough of us for now
        "530": Outcome.VENDOR_DOWN,  # authentication required
        "4xx": Outcome.RETRYABLE,
        "5xx": Outcome.REJECTED,
    }

    def __init__(self) -> None:
        self._settings = settings = SmtpSettings.load()
        self._mail = MailSettings.load()
        self._pool = SmtpPool(
            hostname=settings.host,
            port=settings.port,
            username=settings.username,
            password=settings.password.get_secret_value() if settings.password else None,
            use_tls=settings.tls is Tls.TLS,
            start_tls=settings.tls is Tls.STARTTLS,
        )

    async def send(self, messages: Sequence[Message], timeout: float) -> Sequence[Answer]:
        """One mail transaction. Only a loss after DATA leaves a doubt: before it nothing was handed over."""
        (message,) = messages
        sender = from_address(message, self._mail)
        return [await self._deliver(message, sender, mime(message, sender), timeout)]

    async def check(self) -> str:
        """Connects and logs in."""
        try:
            async with asyncio.timeout(10), self._pool.connection() as smtp:
                await smtp.noop()
        except (SMTPException, OSError, TimeoutError) as error:
            raise SettingsError(f"CLARION_SMTP_HOST: {self._settings.host} answers: {_name(error)}") from None
        return f"the mail server {self._settings.host} lets us in"

    async def close(self) -> None:
        """Take leave of the server on every connection."""
        await self._pool.close()

    async def _deliver(self, message: Message, sender: str, content: bytes, timeout: float) -> Answer:
        entered = handed_over = False
        try:
            async with asyncio.timeout(timeout), self._pool.connection() as smtp:
                entered = True
                utf8 = not (message.address + sender).isascii()
                if utf8 and not smtp.supports_extension("SMTPUTF8"):
                    return refused(self.errors, 553, "smtputf8")
                await _envelope(smtp, name_and_address(sender)[1], message.address, utf8)
                handed_over = True
                await smtp.data(content)
                return accepted()
        except REFUSALS as error:
            at_fault = isinstance(error, SMTPSenderRefused) and error.code >= 500 and error.code != 530
            return refused(self.errors, error.code, "sender" if at_fault else None)
        except SMTPResponseException as error:
            # In mid-session: a line that is no reply of SMTP.
            return in_doubt("unreadable") if handed_over else refused(self.errors, error.code, "connect")
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            if handed_over:
                return in_doubt(_name(error))
            return Answer(Outcome.RETRYABLE, reason=_name(error)) if entered else vendor_down(_name(error))


async def _envelope(smtp: SMTP, sender: str, recipient: str, utf8: bool) -> None:
    encoding = "utf-8" if utf8 else "ascii"
    await smtp.mail(sender, options=["SMTPUTF8"] if utf8 else [], encoding=encoding)
    await smtp.rcpt(recipient, encoding=encoding)


def _name(error: BaseException) -> str:
    return f"{error.code}" if isinstance(error, SMTPResponseException) else type(error).__name__

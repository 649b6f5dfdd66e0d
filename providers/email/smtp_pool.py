"""A small pool of SMTP connections, each logged in and used by one mail at a time."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

from aiosmtplib import SMTP, SMTPDataError, SMTPException, SMTPRecipientRefused, SMTPSenderRefused

CONNECTIONS = 16  # mail servers commonly allow 20 to 50 from one client (Postfix: 50)
IDLE = 15  # seconds a connection is kept unused; Postfix under stress hangs up after 10, otherwise after 300
REFUSALS = (SMTPSenderRefused, SMTPRecipientRefused, SMTPDataError)  # a legible no to MAIL, RCPT, DATA


class SmtpPool:
    """Connections with the same options (those of `aiosmtplib.SMTP`)."""

    def __init__(self, **options: Any) -> None:
        # The default would be a DNS look-up of our own name.
        self._options = {"local_hostname": socket.gethostname(), "timeout": None, **options}
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._idle: list[tuple[float, SMTP]] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[SMTP]:
        """One connection, ready for MAIL. It is kept if the mail went well or was refused, and closed otherwise."""
        async with self._free:
            smtp = self._kept() or await self._new()
            try:
                yield smtp
            except REFUSALS:
                await self._keep_reset(smtp)
                raise
            except BaseException:
                smtp.close()
                raise
            self._keep(smtp)

    async def close(self) -> None:
        """QUIT on every idle connection."""
        idle, self._idle = self._idle, []
        for _, smtp in idle:
            with suppress(SMTPException, OSError, TimeoutError):
                await smtp.quit(timeout=1)
            smtp.close()

    def _kept(self) -> SMTP | None:
        while self._idle:
            since, smtp = self._idle.pop()
            if smtp.is_connected and monotonic() - since < IDLE:
                return smtp
            smtp.close()
        return None

    async def _new(self) -> SMTP:
        smtp = SMTP(**self._options)
        await smtp.connect()
        return smtp

    def _keep(self, smtp: SMTP) -> None:
        if smtp.is_connected:
            self._idle.append((monotonic(), smtp))

    async def _keep_reset(self, smtp: SMTP) -> None:
        """A refused transaction must be taken back before the next one begins (RFC 5321, 4.1.1.5)."""
        try:
            await smtp.rset(timeout=1)
        except (SMTPException, OSError, TimeoutError):
            smtp.close()
        else:
            self._keep(smtp)

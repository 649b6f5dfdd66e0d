"""The ledger for operators' commands: opened, asked, closed, with errors as one line."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from cli import here
from cli.errors import WRONG, Failure

if TYPE_CHECKING:
    from ledger.audit import By
    from ledger.database import Database

_T = TypeVar("_T")


def me() -> "By":
    """Who runs this command, for the audit log."""
    from ledger.audit import By

    try:
        return By(f"cli:{getpass.getuser()}")
    except (OSError, KeyError):  # a container's user may have no name
        return By(f"cli:{os.getuid()}")


def asked(question: "Callable[[Database], Awaitable[_T]]") -> _T:
    """What the ledger answers. A ValueError is the user's doing. Raises Failure, SettingsError."""
    from sqlalchemy.exc import ProgrammingError

    from ledger.database import Database, LedgerUnavailable

    url = here.operator_settings().required("database_url")

    async def ask() -> _T:
        db = Database(url, pool_size=1, application="clarion command")
        try:
            return await question(db)
        finally:
            await db.close()

    try:
        return asyncio.run(ask())
    except LedgerUnavailable as error:
        raise Failure(f"PostgreSQL cannot be reached ({error}): `clarion doctor` says more.") from None
    except ProgrammingError:
        raise Failure("The database has not this version's shape: run `clarion migrate`.") from None
    except ValueError as error:
        raise Failure(str(error), exit_code=WRONG) from None

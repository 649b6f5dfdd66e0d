"""The way to PostgreSQL: an engine for each role, one-statement transactions, and a small taxonomy of errors."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import orjson
from sqlalchemy import Executable, Row, TextClause, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ledger.roles import SETTING, LedgerRole
from observe import logs

if TYPE_CHECKING:
    from ledger.vault import Vault

log = logs.get(__name__)
_T = TypeVar("_T")

_TRIES = 5  # of a transaction that met a deadlock or a serialization failure

_REPEATABLE = frozenset({"40P01", "40001"})
_LOST = frozenset({"57P01", "57P02", "57P03", "57014", "25006"})  # shut down, starting, statement stopped, read-only
_REFUSED = frozenset({"22023", "42501", "28000", "28P01", "3D000"})  # on connecting: no such role, user, database
_LOST_CLASSES = frozenset({"08", "53", "58"})  # connection; too many clients, disk full, no memory; I/O error

# What these roles do goes by keys. Plans are kept, and one made while a table was small (a new ledger, a new month)
# would go through all of it until statistics are taken again: in a first burst each record read the whole month.
_BY_KEYS = {"enable_seqscan": "off"}
_KEY_BY_KEY = {**_BY_KEYS, "enable_hashjoin": "off", "enable_mergejoin": "off"}
_PLANNER: Mapping[LedgerRole, Mapping[str, str]] = {
    LedgerRole.API_READ: _BY_KEYS,
    LedgerRole.API_WRITE: _KEY_BY_KEY,
    LedgerRole.INTAKE: _KEY_BY_KEY,
    LedgerRole.RECEIPTS: _KEY_BY_KEY,
    LedgerRole.WORKER: _KEY_BY_KEY,
}


class LedgerUnavailable(Exception):
    """PostgreSQL cannot be reached, or the connection broke: nothing is known of an unfinished COMMIT."""


# One round trip for both: what follows in the transaction is this tenant's. Nothing outlives the transaction, so a
# connection may serve another tenant next.
_SCOPE = text(f"SELECT set_config('{SETTING}', :tenant, true)")

NAMING = f"set_config('{SETTING}', :tenant, true) AS scope(tenant)"
"""First in FROM, it makes one statement outside a transaction the tenant's: for `Database.run_naming`.

What reads a tenant's table has to be joined LATERAL by `tenant_id = scope.tenant`, so that it comes after the naming.
Without that it may come before, and finds nothing.
"""


class Database:
    """A pool of connections to one database under one role. `close()` at the process's end."""

    def __init__(
        self,
        url: str,
        *,
        role: LedgerRole | None = None,
        vault: "Vault | None" = None,
        pool_size: int = 10,
        application: str = "clarion",
    ) -> None:
        """`url` as `postgresql://user:password@host:port/name`. `role` None: what that user may do itself.

        `vault` None: only for work that touches no address and no message.
        """
        self.engine: AsyncEngine = create_async_engine(
            sqlalchemy_url(url),
            hide_parameters=True,  # values hold addresses and texts: never in an error or a log
            json_deserializer=orjson.loads,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_use_lifo=True,
            async_creator=opener(
                url,
                timeout=5,
                command_timeout=30,
                # JIT pays off for reports, never for statements of a millisecond.
                # Pruning at run time crashed PostgreSQL 18.6 under load (decision 0019); a look into an empty month's
                # index costs less than a microsecond.
                server_settings={
                    "application_name": application,
                    "jit": "off",
                    "enable_partition_pruning": "off",
                    **({"role": role.value, **_PLANNER.get(role, {})} if role else {}),
                },
            ),
        )
        self._tenant: str | None = None
        self._vault = vault
        if role:
            event.listen(self.engine.sync_engine, "connect", partial(_check_role, role))
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def vault(self) -> "Vault":
        """What opens and seals addresses and messages."""
        if self._vault is None:
            raise RuntimeError("this connection was opened without keys, for work that touches nothing sealed")
        return self._vault

    def of(self, tenant: str) -> "Database":
        """The same connections, for one tenant: every transaction names it, and roles that are held to it see its rows.

        Only for the roles of `roles.ONE_TENANT`; the others see every tenant's. `close()` is for the whole.
        """
        scoped = copy(self)
        scoped._tenant = tenant
        return scoped

    async def run(self, statement: str | Executable, **values: Any) -> Sequence[Row[Any]]:
        """One statement as a transaction of its own: its rows. A deadlock repeats it. Raises LedgerUnavailable."""
        return await repeated(partial(self._alone if self._tenant is None else self._scoped, statement, values))

    async def run_naming(self, statement: str, *, tenant: str, **values: Any) -> Sequence[Row[Any]]:
        """The same in one round trip where a tenant's statement takes four, for one that has NAMING in it.

        Where these connections are one tenant's already, the statement is that one's. Raises LedgerUnavailable.
        """
        return await repeated(partial(self._alone, statement, {**values, "tenant": self._tenant or tenant}))

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncConnection]:
        """One transaction. Raises LedgerUnavailable when the connection fails, also at COMMIT."""
        async with _translated(), self.engine.begin() as connection:
            if self._tenant is not None:
                await connection.execute(_SCOPE, {"tenant": self._tenant})
            yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    async def _alone(self, statement: str | Executable, values: Mapping[str, Any]) -> Sequence[Row[Any]]:
        async with _translated(), self._autocommit.connect() as connection:
            return await execute(connection, statement, values)

    async def _scoped(self, statement: str | Executable, values: Mapping[str, Any]) -> Sequence[Row[Any]]:
        async with self.begin() as connection:
            return await execute(connection, statement, values)


async def execute(
    connection: AsyncConnection, statement: str | Executable, values: Mapping[str, Any]
) -> Sequence[Row[Any]]:
    """The rows a statement returns; none for one that returns nothing."""
    result = await connection.execute(_text(statement) if isinstance(statement, str) else statement, dict(values))
    return result.all() if result.returns_rows else ()


def asking(connection: AsyncConnection) -> Callable[..., Awaitable[Sequence[Row[Any]]]]:
    """Runs statements in a transaction as `Database.run` does in ones of their own: values by name."""

    async def ask(statement: str, **values: Any) -> Sequence[Row[Any]]:
        return await execute(connection, statement, values)

    return ask


async def repeated(transaction: Callable[[], Awaitable[_T]]) -> _T:
    """Run a whole transaction, again if PostgreSQL chose it as the victim of a deadlock (40P01) or conflict (40001)."""
    for n in range(1, _TRIES):
        try:
            return await transaction()
        except DBAPIError as error:
            if sqlstate(error) not in _REPEATABLE:
                raise
            log.info("ledger.repeat", sqlstate=sqlstate(error), try_=n)
    return await transaction()


@cache
def _text(statement: str) -> TextClause:
    """Parsed once: our statements are constants, and some are long."""
    return text(statement)


def sqlalchemy_url(url: str) -> str:
    """The same URL for SQLAlchemy's asyncpg dialect."""
    scheme, _, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise ValueError("a database URL starts with postgresql://")
    return f"postgresql+asyncpg://{rest}"


def opener(url: str, **more: Any) -> Callable[[], Awaitable[Any]]:
    """Opens connections for an engine. asyncpg reads the URL itself: it knows libpq's words, those for TLS too."""
    connect = cast("Callable[..., Awaitable[Any]]", asyncpg.connect)  # pyright: ignore[reportUnknownMemberType]
    return partial(connect, url.replace("postgresql+asyncpg://", "postgresql://", 1), **more)


def sqlstate(error: DBAPIError) -> str:
    """PostgreSQL's five-character code, or an empty string."""
    return getattr(error.orig, "sqlstate", None) or ""


def _check_role(role: LedgerRole, connection: DBAPIConnection, _: object) -> None:
    """A pooler on the way may have dropped the role: then everything would run as the login, which may own it all."""
    cursor = connection.cursor()
    cursor.execute("SELECT current_user")
    (found,) = cursor.fetchone() or ("nobody",)
    cursor.close()
    connection.rollback()
    if found != role:
        raise LedgerUnavailable(f"the connection has the role {found}, not {role}")


@asynccontextmanager
async def _translated() -> AsyncGenerator[None]:
    try:
        yield
    except DBAPIError as error:
        state = sqlstate(error)
        if error.connection_invalidated or not state or state in _LOST or state[:2] in _LOST_CLASSES:
            raise LedgerUnavailable(type(error.orig).__name__) from error
        if error.statement is None and state in _REFUSED:
            raise LedgerUnavailable("it does not let us in; `clarion doctor` says more") from error
        raise
    except (OSError, TimeoutError, PoolTimeout, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise LedgerUnavailable(type(error).__name__) from error

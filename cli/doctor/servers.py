"""Looks at PostgreSQL, Redis and the API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cli import moments
from cli.client import Api
from cli.doctor.findings import Finding, State, look, ok, wrong
from settings import Settings

if TYPE_CHECKING:
    from asyncpg import Connection

_BROKEN = "Its messages go to others while probes find out. `clarion doctor --provider {name}` tries our credentials."
_STOPPED = "An operator wanted it; `clarion providers enable {name}` brings it back."
_TODO = {
    "open": _BROKEN,
    "half_open": _BROKEN,
    "paused": "Nothing, unless it comes again and again: then lower its rate in CLARION_PROVIDERS.",
    "draining": _STOPPED,
    "disabled": _STOPPED,
}
_DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


def postgresql(settings: Settings) -> Callable[[], AsyncIterator[Finding]]:
    """Reachable, at this version's revision, with its roles in force, and keeping what it acknowledges."""

    async def check() -> AsyncIterator[Finding]:
        import asyncpg

        url = settings.required("database_url").replace("postgresql+asyncpg://", "postgresql://")
        connection = await asyncpg.connect(url)
        try:
            version = await connection.fetchval("SHOW server_version")
            if await connection.fetchval("SELECT pg_is_in_recovery()"):
                yield wrong("PostgreSQL", "it only reads", "Point CLARION_DATABASE_URL at the primary.")
            else:
                yield ok("PostgreSQL", f"version {version.split()[0]} answers")
            revision = await _revision(connection)
            yield revision
            if revision.state is State.OK:
                yield await _roles(url)
            yield await _durable(connection)
        finally:
            await connection.close()

    return check


async def _revision(connection: "Connection") -> Finding:
    wanted = _newest_revision()
    if not await connection.fetchval("SELECT to_regclass('alembic_version')"):
        return wrong("database", "it is empty", "Run `clarion migrate`.")
    found = await connection.fetchval("SELECT version_num FROM alembic_version")
    if found != wanted:
        return wrong("database", f"at revision {found}, this version wants {wanted}", "Run `clarion migrate`.")
    return ok("database", f"at revision {found}")


async def _roles(url: str) -> Finding:
    """Without them processes do not start to work: nobody falls back to the rights of the login."""
    from ledger.database import Database
    from ledger.granting import differences, out_of_reach

    db = Database(url, pool_size=1, application="clarion doctor")
    try:
        async with db.begin() as connection:
            if closed := await out_of_reach(connection):
                told = f"this login cannot take {', '.join(closed)}"
                return wrong("roles", told, "Run `clarion migrate`, which says what an administrator has to do.")
            if wanting := await differences(connection):
                told = f"not as this version wants them: {len(wanting)} changes, first {wanting[0]}"
                return wrong("roles", told, "Run `clarion migrate`.")
    finally:
        await db.close()
    return await _taken(url)


async def _taken(url: str) -> Finding:
    """Takes one as a process does: a pooler on the way may drop it."""
    from ledger.database import Database, LedgerUnavailable
    from ledger.roles import LedgerRole

    db = Database(url, role=LedgerRole.API_READ, pool_size=1, application="clarion doctor")
    try:
        await db.run("SELECT 1")
    except LedgerUnavailable as error:
        return wrong("roles", str(error), "Let CLARION_DATABASE_URL lead to PostgreSQL itself, not to a pooler.")
    finally:
        await db.close()
    return ok("roles", "in force, with row-level security")


def _newest_revision() -> str | None:
    from alembic.script import ScriptDirectory

    import ledger.migrations

    return ScriptDirectory(ledger.migrations.__path__[0]).get_current_head()


async def _durable(connection: "Connection") -> Finding:
    off = [name for name in _DURABLE if await connection.fetchval("SELECT current_setting($1)", name) == "off"]
    if off:
        told = f"{', '.join(off)} off: accepted messages can be lost"
        return wrong("durability", told, "Turn it on in postgresql.conf and reload.")
    return ok("durability", f"{', '.join(_DURABLE)} on")


def redis(settings: Settings) -> Callable[[], AsyncIterator[Finding]]:
    """Answers. Without it limits are weaker; no message is lost."""

    async def check() -> AsyncIterator[Finding]:
        from redis.asyncio import Redis

        async with Redis.from_url(settings.required("redis_url")) as client:
            await client.ping()
        yield ok("Redis", "answers")

    return check


def api(url: str) -> Callable[[], AsyncIterator[Finding]]:
    """Answers, and says how it sees its own parts."""

    async def check() -> AsyncIterator[Finding]:
        with Api(url, None) as client:
            answer = await asyncio.to_thread(client.call, "GET", "/readyz")
        away = [name for name, part in answer["parts"].items() if part["state"] != "ok"]
        told, todo = f"{url} does not reach {', '.join(away)}", "See what the others here say, and the API's settings."
        if answer["status"] == "away":
            yield wrong("API", f"{told}: it accepts nothing", todo)
        elif away:
            yield look("API", f"{told}: it accepts all the same", todo)
        else:
            yield ok("API", f"{url} is ready")
        for finding in _not_taking(answer.get("providers", {})):
            yield finding

    return check


def _not_taking(conditions: Mapping[str, Any]) -> Iterator[Finding]:
    """Providers that take nothing now, or nothing new, and channels of which none does."""
    from providers.registry import provider_classes

    channels: dict[str, list[str]] = {}
    for name, condition in conditions.items():
        if name in provider_classes():
            channels.setdefault(provider_classes()[name].card.channel, []).append(condition["state"])
        if condition["state"] != "ok":
            yield look(name, _condition(condition), _TODO[condition["state"]].format(name=name))
    for channel, states in channels.items():
        if "ok" not in states:
            yield wrong(f"channel {channel}", "none of its providers takes messages now", "See the providers here.")


def _condition(condition: Mapping[str, Any]) -> str:
    state, since = condition["state"].replace("_", " "), condition["since"]
    lasting = f" for {moments.lasting(since)}" if since else ""
    breaker = "breaker " if condition["state"] in {"open", "half_open"} else ""
    return f"{breaker}{state}{lasting}: {condition['reason']}"

"""What happened to the providers: changes of breakers, and what operators said."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from ledger.database import Database

BREAKER, OPERATOR = "breaker", "operator"


@dataclass(frozen=True, slots=True)
class Event:
    """One change. `before` None: nobody had said anything. `local`: seen by one process, while Redis was gone."""

    provider: str
    at: datetime
    kind: str
    before: str | None
    after: str
    reason: str
    changed_by: str | None = None
    local: bool = False


_WRITE = """
INSERT INTO provider_event (provider, at, kind, before, after, reason, changed_by, local)
VALUES (:provider, :at, :kind, :before, :after, :reason, :changed_by, :local)
"""

_NEWEST = """
SELECT provider, at, kind, before, after, reason, changed_by, local FROM provider_event
 WHERE CAST(:provider AS text) IS NULL OR provider = :provider
 ORDER BY at DESC, id DESC LIMIT :most
"""


# Letters died by the ledger's clock, breakers change by that of Redis.
_BROKEN_SINCE = """
SELECT min(at) - interval '5 seconds' AS since FROM provider_event e
 WHERE provider = :provider AND kind = 'breaker' AND after = 'open' AND at < :until
   AND at > coalesce((SELECT max(at) FROM provider_event c WHERE c.provider = e.provider AND c.kind = 'breaker'
                         AND c.after = 'closed' AND c.at < :until), '-infinity')
"""


async def write(db: Database, event: Event) -> None:
    """Raises LedgerUnavailable."""
    await db.run(_WRITE, **asdict(event))


async def broken_since(db: Database, provider: str, until: datetime) -> datetime | None:
    """When the breaker that closed at `until` had opened first, with some slack; None if nobody wrote that down."""
    return (await db.run(_BROKEN_SINCE, provider=provider, until=until))[0].since


async def newest(db: Database, provider: str | None, most: int) -> Sequence[Event]:
    """The last changes, newest first; of one provider or of all."""
    return [Event(*row) for row in await db.run(_NEWEST, provider=provider, most=most)]

"""The terms notifications are found by: written with them, measured before a walk, and forgotten."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.search import FROM_TEXT, Sought, terms_of_tags, terms_of_text
from domain.submissions import Submission
from ledger.database import Database, execute

RARE = 2000  # what has fewer entries is read whole and sorted; what has more is walked in the order of time
_AT_ONCE = 5000  # entries forgotten by one statement

_MEASURE = """
SELECT (SELECT count(*) FROM (
           SELECT 1 FROM search_entry
            WHERE tenant_id = :tenant AND term >= w.low AND term <= w.high LIMIT :rare) AS first) AS n
  FROM unnest(CAST(:lows AS text[]), CAST(:highs AS text[])) WITH ORDINALITY AS w(low, high, place)
 ORDER BY w.place
"""

_KEEPS_TEXT = "SELECT keep_text FROM tenant WHERE id = :id"
_KEEPERS = "SELECT id FROM tenant WHERE keep_text"

_UNFIND = """
DELETE FROM search_entry
 WHERE notification_id = ANY(CAST(:notifications AS uuid[])) AND tenant_id = :tenant RETURNING 1
"""

# Of tenants who keep no text any more. Each costs one look into the index.
_PRUNE = """
DELETE FROM search_entry s USING (
    SELECT e.* FROM tenant t CROSS JOIN LATERAL (
           SELECT tenant_id, term, notification_id FROM search_entry
            WHERE tenant_id = t.id AND term >= :from_text LIMIT :most) AS e
     WHERE NOT t.keep_text LIMIT :most) AS old
 WHERE s.tenant_id = old.tenant_id AND s.term = old.term AND s.notification_id = old.notification_id RETURNING 1
"""


Entry = tuple[str, str, UUID]  # tenant, term, notification


def entries(submissions: Iterable[Submission], keeps_text: Callable[[str], bool]) -> Sequence[Entry]:
    """What these are found by. `keeps_text`: has this tenant chosen that its words are searchable?"""
    return [
        (one.tenant, term, one.id)
        for one in submissions
        for term in dict.fromkeys(
            [
                *terms_of_tags(one.tags),
                *(terms_of_text(one.content, one.metadata) if keeps_text(one.tenant) else ()),
            ]
        )
    ]


async def measured(db: Database, tenant: str, sought: Sequence[Sought]) -> Sequence[int]:
    """How many entries each of these has, at most RARE: by them the walk is led."""
    lows, highs = [each.low for each in sought], [each.high for each in sought]
    rows = await db.run(_MEASURE, tenant=tenant, lows=lows, highs=highs, rare=RARE)
    return [row.n for row in rows]


async def keeps_text(db: Database, tenant: str) -> bool:
    """Has this tenant chosen to keep its words searchable?"""
    rows = await db.run(_KEEPS_TEXT, id=tenant)
    return bool(rows and rows[0].keep_text)


async def keepers(db: Database) -> frozenset[str]:
    """All tenants that have chosen so. Raises LedgerUnavailable."""
    return frozenset(row.id for row in await db.run(_KEEPERS))


async def unfind(connection: AsyncConnection, tenant: str, notifications: Sequence[UUID]) -> None:
    """Nothing leads to these any more, in the transaction that blanks them."""
    values: dict[str, Any] = {"tenant": tenant, "notifications": list(notifications)}
    await execute(connection, _UNFIND, values)


async def prune(db: Database) -> int:
    """Forget words and metadata of tenants who keep no text any more, some thousands at a time. Returns how many."""
    return len(await db.run(_PRUNE, from_text=FROM_TEXT, most=_AT_ONCE))

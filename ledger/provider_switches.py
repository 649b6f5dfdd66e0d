"""What operators want of the providers: the lasting copy of their words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.operators import Operator, Switch, Word
from ledger import audit
from ledger.audit import By
from ledger.database import Database, execute


@dataclass(frozen=True, slots=True)
class Said:
    """What operators want of a provider, and who said the last word when."""

    operator: Operator
    changed_at: datetime
    changed_by: str


_READ = "SELECT provider, switch, reason, weight, changed_at, changed_by FROM provider_switch"

# The change and its event are one statement. What is not said is taken from the row as it is under its lock, so that of
# two words at once neither undoes the other. A stopped provider keeps the reason of its switch when only its weight
# changes.
_SAY = """
WITH old AS MATERIALIZED (
    SELECT switch, weight FROM provider_switch WHERE provider = :provider FOR UPDATE
), said AS ( -- it asks `old`, so that this is read before it changes
    INSERT INTO provider_switch AS s (provider, switch, weight, reason, changed_by)
    SELECT :provider, coalesce(CAST(:switch AS text), old.switch, 'enabled'), CAST(:weight AS float8), :reason,
           :changed_by
      FROM (VALUES (1)) AS once LEFT JOIN old ON true
    ON CONFLICT (provider) DO UPDATE SET
           switch = coalesce(CAST(:switch AS text), s.switch),
           weight = CASE WHEN NOT :by_order THEN coalesce(CAST(:weight AS float8), s.weight) END,
           reason = CASE WHEN CAST(:switch AS text) IS NULL AND s.switch <> 'enabled' THEN s.reason
                         ELSE excluded.reason END,
           changed_by = excluded.changed_by, changed_at = now()
    RETURNING provider, switch, reason, weight, changed_at, changed_by
), written AS (
    INSERT INTO provider_event (provider, at, kind, before, after, reason, changed_by)
    SELECT provider, changed_at, 'operator',
           (SELECT switch || coalesce(', weight ' || weight, '') FROM old),
           switch || coalesce(', weight ' || weight, ''), :reason, changed_by FROM said
)
SELECT * FROM said
"""


async def said(db: Database) -> Mapping[str, Said]:
    """What was said of each provider, if anything was. Raises LedgerUnavailable."""
    return {row.provider: _said(row) for row in await db.run(_READ)}


async def switches(db: Database) -> Mapping[str, Operator]:
    """The same without who and when. Raises LedgerUnavailable."""
    return {provider: one.operator for provider, one in (await said(db)).items()}


async def say(db: Database, provider: str, word: Word, by: By) -> Said:
    """Keep an operator's new word, and that it was said: all that is wanted now. Raises LedgerUnavailable."""
    values = {
        "switch": word.switch.value if word.switch else None,
        "weight": word.weight,
        "by_order": word.by_order,
        "reason": word.reason,
    }
    async with db.begin() as connection:
        (row,) = await execute(connection, _SAY, {"provider": provider, "changed_by": by.actor, **values})
        action = f"provider.{word.switch.value if word.switch else 'weigh'}"
        detail = {"reason": word.reason, "switch": row.switch, "weight": row.weight}
        await audit.record(connection, by, action, provider, detail=detail)
    return _said(row)


def _said(row: Any) -> Said:
    return Said(Operator(Switch(row.switch), row.reason, row.weight), row.changed_at, row.changed_by)

"""What operators want of the providers: the lasting copy of their words."""

from collections.abc import Mapping

from domain.operators import Operator, Switch
from ledger.database import Database

_READ = "SELECT provider, switch, weight, reason FROM provider_switch"

# The change and its event are one statement; `before` is what stood there.
_SAY = """
WITH old AS MATERIALIZED (
    SELECT switch FROM provider_switch WHERE provider = :provider FOR UPDATE
), said AS (
    INSERT INTO provider_switch (provider, switch, weight, reason, changed_by)
    VALUES (:provider, :switch, :weight, :reason, :changed_by)
    ON CONFLICT (provider) DO UPDATE SET switch = excluded.switch, weight = excluded.weight, reason = excluded.reason,
           changed_by = excluded.changed_by, changed_at = now()
)
INSERT INTO provider_event (provider, at, kind, before, after, reason, changed_by)
VALUES (:provider, now(), 'operator', (SELECT switch FROM old),
        CAST(:switch AS text) || coalesce(', weight ' || CAST(:weight AS float8), ''), :reason, :changed_by)
"""


async def switches(db: Database) -> Mapping[str, Operator]:
    """Every word that was ever said, by provider. Raises LedgerUnavailable."""
    return {row.provider: Operator(Switch(row.switch), row.reason, row.weight) for row in await db.run(_READ)}


async def say(db: Database, provider: str, operator: Operator, changed_by: str) -> None:
    """Keep an operator's new word, and that it was said. Raises LedgerUnavailable."""
    await db.run(
        _SAY,
        provider=provider,
        switch=operator.switch.value,
        weight=operator.weight,
        reason=operator.reason,
        changed_by=changed_by,
    )

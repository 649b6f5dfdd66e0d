"""Repeats of requests that were accepted before, found without taking anything new."""

from collections.abc import Sequence

from domain.submissions import Submission
from ledger.database import Database
from ledger.intake import Verdict, verdict

_KNOWN = """
SELECT k.tenant_id, k.key, k.fingerprint, k.notification_id FROM idempotency_key k
  JOIN unnest(CAST(:tenants AS text[]), CAST(:keys AS text[])) AS g(tenant_id, key) USING (tenant_id, key)
 WHERE k.expires_at >= now()
"""


async def known(db: Database, submissions: Sequence[Submission]) -> list[Verdict | None]:
    """For each with an idempotency key what a repeat is told; None for a key (or a submission without) that is new.

    Raises LedgerUnavailable.
    """
    keyed = [(s.tenant, s.idempotency_key) for s in submissions if s.idempotency_key]
    rows = await db.run(_KNOWN, tenants=[tenant for tenant, _ in keyed], keys=[key for _, key in keyed])
    owners = {(row.tenant_id, row.key): (row.notification_id, row.fingerprint) for row in rows}
    found = [owners.get((s.tenant, s.idempotency_key)) for s in submissions]
    return [verdict(s, owner) if owner else None for s, owner in zip(submissions, found, strict=True)]

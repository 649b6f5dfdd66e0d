"""Doubtful sends whose provider may end the doubt: which to ask about when, and whose a message is that was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.ids import DeliveryId, SendKey
from ledger.database import Database
from ledger.deliveries import DOUBTFUL, Claim, Leg, as_claims

# Less and less often: a vendor that did not know of it after a minute hardly will a second later. `alone`: nothing else
# that may have gone to this person in those minutes is unanswered, for a message found could be either's. Addresses are
# compared by their hashes, and what has none may be anybody's. While a tenant has two data keys, the same person's id
# may stand in two forms: then nobody is alone.
_PUT_OFF = f"""
WITH locked AS MATERIALIZED (
    SELECT d.batch_id, d.seq FROM delivery d WHERE {DOUBTFUL} ORDER BY d.seq LIMIT :most FOR UPDATE SKIP LOCKED
)
UPDATE delivery d
   SET due_at = now() + greatest(interval '2 s', (now() - d.claimed_at) / 2,
                                 d.claimed_at + make_interval(secs => :quiet) - now())
  FROM locked l
 WHERE d.batch_id = l.batch_id AND d.seq = l.seq
RETURNING d.batch_id, d.seq, d.key_no, d.attempt, d.notification_id, d.tenant_id, d.address, false AS again,
          extract(epoch FROM now() - d.claimed_at)::float8 AS age,
          NOT EXISTS (
              SELECT 1 FROM delivery o
               WHERE (o.batch_id = d.batch_id OR o.tenant_id = d.tenant_id AND o.recipient_id = d.recipient_id)
                 AND coalesce(o.address_hash = d.address_hash, true) AND (o.batch_id, o.seq) <> (d.batch_id, d.seq)
                 AND (o.status = 'sending' OR o.doubts > 0) AND o.claimed_at > d.claimed_at - interval '10 minutes'
          ) AND (SELECT count(*) FROM tenant_key k WHERE k.tenant_id = d.tenant_id) < 2 AS alone
"""  # noqa: S608 - built from constants

# The message is taken by the first who writes its id down. More than one that is nobody else's: nobody can tell.
_IDENTIFY = """
WITH g AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:message_id AS text[]), CAST(:batch AS uuid[]), CAST(:seq AS int[]),
                         CAST(:key_no AS int[])) AS g(message_id, batch_id, seq, key_no)
), mine AS MATERIALIZED (
    SELECT min(g.message_id) AS message_id, g.batch_id, g.seq, g.key_no FROM g
     WHERE NOT EXISTS (SELECT 1 FROM send_ref r WHERE r.provider = :provider AND r.message_id = g.message_id
                          AND (r.batch_id, r.seq, r.key_no) <> (g.batch_id, g.seq, g.key_no))
     GROUP BY g.batch_id, g.seq, g.key_no HAVING count(*) = 1
), taken AS (
    INSERT INTO send_ref (provider, message_id, batch_id, seq, key_no)
    SELECT :provider, message_id, batch_id, seq, key_no FROM mine ORDER BY message_id
    ON CONFLICT DO NOTHING
    RETURNING message_id, batch_id, seq, key_no
)
SELECT * FROM taken
UNION ALL
SELECT m.* FROM mine m JOIN send_ref r ON r.provider = :provider AND r.message_id = m.message_id
   AND (r.batch_id, r.seq, r.key_no) = (m.batch_id, m.seq, m.key_no)
"""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A send without an answer, as the right to record one. `age`: seconds since it was claimed."""

    claim: Claim
    age: float
    alone: bool  # no other unanswered send to this person could be taken for it


async def put_off(db: Database, leg: Leg, quiet: float, most: int) -> list[Doubt]:
    """Doubtful rows that are due, at most `most`. Whatever comes of this attempt, the next is due later.

    It is due no earlier than `quiet` seconds after the claim. Two executions at once get different rows.
    """
    rows = await db.run(_PUT_OFF, **leg.keys(), quiet=quiet, most=most)
    claims = await as_claims(db, rows)
    return [Doubt(claim, row.age, row.alone) for claim, row in zip(claims, rows, strict=True)]


async def identify(db: Database, provider: str, candidates: Mapping[SendKey, Sequence[str]]) -> dict[SendKey, str]:
    """Which message is which send, of the vendor's ids that may be it: where just one is no other send's."""
    pairs = [(key, message_id) for key, found in candidates.items() for message_id in found]
    if not pairs:
        return {}
    rows = await db.run(
        _IDENTIFY,
        provider=provider,
        message_id=[message_id for _, message_id in pairs],
        batch=[key.delivery.batch for key, _ in pairs],
        seq=[key.delivery.seq for key, _ in pairs],
        key_no=[key.key_no for key, _ in pairs],
    )
    return {SendKey(DeliveryId(row.batch_id, row.seq), row.key_no): row.message_id for row in rows}

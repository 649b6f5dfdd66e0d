"""Group commit: all notifications that arrived together enter the ledger in one transaction."""

import asyncio
import re
import zlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from domain.channels import Channel, Channels
from domain.submissions import Accepted, Recipient, Refused, Submission
from ledger import filing, searching
from ledger.batching import Batch, Batcher
from ledger.database import Database, LedgerUnavailable, asking, repeated, sqlstate
from ledger.keyring import Unreadable
from ledger.recipients import addresses_in
from ledger.vault import Ask
from observe import logs

KEY_LIFE = timedelta(hours=24)  # of an idempotency key
_RESOLVE_FOR = 30.0  # seconds to find out what became of a COMMIT whose connection broke

Verdict = Accepted | Refused
_Book = Mapping[tuple[str, str], Callable[[], Mapping[str, str]]]  # by tenant and id, to be opened; raises Unreadable

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Flush:
    """What came of a group: a verdict for each submission, in order, and the batches they are in."""

    verdicts: tuple[Verdict, ...]
    batches: tuple[Batch, ...]


_BOOK = """
SELECT r.tenant_id, r.id, r.addresses FROM recipient r
  JOIN unnest(CAST(:tenants AS text[]), CAST(:ids AS text[])) AS g(tenant_id, id) USING (tenant_id, id)
"""

# Another transaction may have a key in hand: it is waited for, but not for long.
_TAKE_KEYS = """
WITH soon AS MATERIALIZED (SELECT set_config('lock_timeout', '1s', true) AS lock_timeout)
INSERT INTO idempotency_key AS k (tenant_id, key, fingerprint, notification_id, expires_at)
SELECT g.tenant_id, g.key, g.fingerprint, g.notification_id, now() + make_interval(secs => :life)
  FROM soon, unnest(CAST(:tenants AS text[]), CAST(:keys AS text[]), CAST(:fingerprints AS bytea[]),
                    CAST(:ids AS uuid[])) AS g(tenant_id, key, fingerprint, notification_id)
 ORDER BY g.tenant_id, g.key
ON CONFLICT (tenant_id, key) DO UPDATE
   SET fingerprint = excluded.fingerprint, notification_id = excluded.notification_id, expires_at = excluded.expires_at
 WHERE k.expires_at < now()
RETURNING k.tenant_id, k.key
"""

_KEYS = """
SELECT k.tenant_id, k.key, k.fingerprint, k.notification_id FROM idempotency_key k
  JOIN unnest(CAST(:tenants AS text[]), CAST(:keys AS text[])) AS g(tenant_id, key) USING (tenant_id, key)
"""


class Intake:
    """The way in. `invent` gives an address for a recipient nobody knows, in development; None otherwise."""

    def __init__(
        self,
        db: Database,
        channels: Channels,
        *,
        cap: int,
        first: Callable[[Channel], str] = lambda channel: channel.route[0],
        invent: bool = False,
        weight_of: Callable[[str], int] | None = None,
        secret: bytes = b"",
        keeps_text: Callable[[str], bool] = lambda tenant: False,
    ) -> None:
        """`cap`: deliveries a batch may have; a single notification may have up to SPLIT in one.

        `first`: the provider that new messages of a channel are queued for now. A batch asks once for each channel.
        `weight_of` a tenant: its share where tenants take turns; None: they do not.
        `keeps_text`: has this tenant chosen that its words are searchable?
        `secret`: what addresses are hashed with, so that suppressed ones are known.
        """
        self._secret, self._keeps_text = secret, keeps_text
        self._db, self._channels, self._invent = db, channels, invent
        self._batcher = Batcher(channels, cap, first, weight_of)

    async def accept(self, submissions: Sequence[Submission], opened: Sequence[Batch] = ()) -> Flush:
        """Commit a group. One bad submission never hurts its neighbours: a group that fails on data is halved.

        `opened`: batches of an earlier group whose runs have not been started: what is alike goes into them.
        Raises LedgerUnavailable when PostgreSQL is away: then nothing of the group was taken.
        """
        try:
            return await repeated(lambda: self._together(submissions, opened))
        except DBAPIError as error:
            if len(submissions) == 1:
                return Flush((_culprit(error),), ())
        half = len(submissions) // 2
        first = await self.accept(submissions[:half], opened)
        try:
            second = await self.accept(submissions[half:])
        except LedgerUnavailable:
            # The first half is committed and has to be told so.
            second = Flush(tuple(_unavailable() for _ in submissions[half:]), ())
        return Flush(first.verdicts + second.verdicts, first.batches + second.batches)

    async def _together(self, submissions: Sequence[Submission], opened: Sequence[Batch]) -> Flush:
        book = await self._look_up(submissions)
        keys = await self._db.vault.sealing(self._db.run, {submission.tenant for submission in submissions})
        verdicts: dict[UUID, Verdict] = {}
        good: list[Submission] = []
        for submission in submissions:
            try:
                keys.sealing(submission.tenant)
                good.append(self._resolved(submission, book))
            except Refused as refused:
                verdicts[submission.id] = refused
            except Unreadable as error:
                log.error("intake.sealed", tenant=submission.tenant, why=str(error))
                verdicts[submission.id] = _sealed()
        batches: list[Batch] = []
        try:
            async with self._writing(good) as ask:
                new = await self._take_keys(ask, good, verdicts)
                batches, rows = self._batcher.batches(new, opened)
                if rows:
                    filed = filing.Filed(batches, rows, searching.entries(new, self._keeps_text))
                    await filing.insert(ask, filed, self._secret, keys)
        except filing.Ended:
            return await self._together(submissions, ())
        except LedgerUnavailable:
            # The COMMIT may have gone through: make sure, before anyone is told.
            if not batches or await self._never_will_be(batches):
                raise
        return Flush(tuple(verdicts[s.id] for s in submissions), tuple(batches))

    @asynccontextmanager
    async def _writing(self, submissions: Sequence[Submission]) -> AsyncGenerator[Ask]:
        """Where they are written. Without keys by one statement: it needs no BEGIN, no COMMIT and no trips for them."""
        if any(submission.idempotency_key for submission in submissions):
            async with self._db.begin() as connection:
                yield asking(connection)
        else:
            yield self._db.run

    async def _never_will_be(self, batches: Sequence[Batch]) -> bool:
        """Was none of it committed? A COMMIT still under way somewhere is waited for, or fails for good."""
        deadline = asyncio.get_running_loop().time() + _RESOLVE_FOR
        while True:
            try:
                return await filing.never_will_be(self._db, batches)
            except LedgerUnavailable:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.5)

    async def _look_up(self, submissions: Sequence[Submission]) -> _Book:
        wanted = {(s.tenant, r.id) for s in submissions for r in s.recipients if not r.known}
        if not wanted:
            return {}
        rows = await self._db.run(_BOOK, tenants=[w[0] for w in wanted], ids=[w[1] for w in wanted])
        keys = await self._db.vault.opening(self._db.run, [(row.tenant_id, row.addresses) for row in rows])
        return {
            (row.tenant_id, row.id): partial(addresses_in, keys, row.tenant_id, row.id, row.addresses) for row in rows
        }

    def _resolved(self, submission: Submission, book: _Book) -> Submission:
        """With every recipient's addresses filled in.

        Raises Refused for one nobody knows, or what is no JSON; Unreadable for one whose addresses do not open.
        """
        try:
            filing.document_of(submission)
            filing.as_json(submission.metadata)
        except TypeError:  # a lone surrogate, an integer of more than 64 bits
            raise _not_storable() from None
        found: list[Recipient] = []
        for place, recipient in enumerate(submission.recipients):
            entry = book.get((submission.tenant, recipient.id))
            if recipient.known:
                addresses = recipient.addresses
            elif entry:
                addresses = entry()
            elif self._invent:
                addresses = _invented(recipient.id)
            else:
                detail = f"No recipient {recipient.id!r} in the address book."
                raise Refused("unknown_recipient", detail, f"/recipient_ids/{place}")
            found.append(Recipient(recipient.id, addresses, known=True))
        fields = {self._channels[name].address for name in submission.channels}
        if not any(field in recipient.addresses for recipient in found for field in fields):
            raise Refused("no_address", "No recipient has an address for any of the channels.", "/recipient_ids")
        return replace(submission, recipients=tuple(found))

    async def _take_keys(
        self, ask: Ask, submissions: Sequence[Submission], verdicts: dict[UUID, Verdict]
    ) -> list[Submission]:
        """Those that are new. The others get the first answer again, or learn that the key has another body."""
        keyed: dict[tuple[str, str], Submission] = {}
        for s in submissions:
            if s.idempotency_key:
                keyed.setdefault((s.tenant, s.idempotency_key), s)
        owners: dict[tuple[str, str], tuple[UUID, bytes]] = {}
        if keyed:
            names = {"tenants": [k[0] for k in keyed], "keys": [k[1] for k in keyed]}
            firsts = list(keyed.values())
            values = {"fingerprints": [s.fingerprint for s in firsts], "ids": [s.id for s in firsts]}
            life = KEY_LIFE.total_seconds()
            taken = await ask(_TAKE_KEYS, **names, **values, life=life)
            owners = {(r.tenant_id, r.key): _owner(keyed[r.tenant_id, r.key]) for r in taken}
            if len(taken) < len(keyed):
                known = await ask(_KEYS, **names)
                owners |= {(r.tenant_id, r.key): (r.notification_id, r.fingerprint) for r in known}
        new: list[Submission] = []
        for s in submissions:
            owner = owners[s.tenant, s.idempotency_key] if s.idempotency_key else _owner(s)
            verdicts[s.id] = verdict(s, owner)
            if owner[0] == s.id:
                new.append(s)
        return new


def _owner(submission: Submission) -> tuple[UUID, bytes]:
    return submission.id, submission.fingerprint


def verdict(submission: Submission, owner: tuple[UUID, bytes]) -> Verdict:
    """What a submission is told whose idempotency key belongs to `owner`: a notification and its fingerprint."""
    notification, fingerprint = owner
    if fingerprint != submission.fingerprint:
        return Refused("idempotency_key_reused", "This Idempotency-Key was used before with another body.")
    return Accepted(notification, replayed=notification != submission.id)


def _culprit(error: DBAPIError) -> Refused:
    """What to say of the one submission PostgreSQL would not take. The door should have seen it: never a 5xx for it."""
    if sqlstate(error) == "55P03":
        return Refused("in_progress", "A request with this Idempotency-Key is still in progress.")
    return _not_storable()


def _not_storable() -> Refused:
    return Refused("not_storable", "The request holds a value that cannot be stored.")


def _sealed() -> Refused:
    return Refused("unavailable", "An encryption key is missing; nothing was taken.")


def _unavailable() -> Refused:
    return Refused("unavailable", "The ledger cannot be reached; nothing was taken.")


def _invented(recipient: str) -> dict[str, str]:
    """Sandbox addresses for anybody: `make dev` needs no address book."""
    name = re.sub(r"[^a-z0-9._-]+", "-", recipient.lower()).strip(".-")[:60] or "someone"
    number = zlib.crc32(recipient.encode()) % 10_000_000
    return {"email": f"{name}@sandbox.example", "phone": f"+1555{number:07d}", "push_token": f"sandbox-{name}"}

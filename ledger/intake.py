"""Group commit: all notifications that arrived together enter the ledger in one transaction."""

import asyncio
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.channels import Channel, Channels
from domain.deliveries import Status
from domain.ids import new_id
from domain.runs import Part, Run
from domain.submissions import Accepted, Recipient, Refused, Submission
from domain.suppressions import blind
from ledger import searching
from ledger.database import Database, LedgerUnavailable, execute, repeated, sqlstate
from ledger.keyring import Unreadable
from ledger.recipients import addresses_in
from ledger.sealing import RECIPIENT_ID, address_of, content_of, version_of
from ledger.suppressions import WHY
from ledger.vault import Keys
from observe import logs

_MUCH = 16  # deliveries a tenant has in one flush
SPLIT = 512  # deliveries: a notification with more fills several batches
KEY_LIFE = timedelta(hours=24)  # of an idempotency key
_RESOLVE_FOR = 30.0  # seconds to find out what became of a COMMIT whose connection broke
_START_GRACE = 5.0  # seconds until the sweep starts a run that should have been

Verdict = Accepted | Refused
_Book = Mapping[tuple[str, str], Callable[[], Mapping[str, str]]]  # by tenant and id, to be opened; raises Unreadable

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """What was committed as one, and the run that will carry it."""

    run: Run
    start_at: datetime | None


@dataclass(frozen=True, slots=True)
class Flush:
    """What came of a group: a verdict for each submission, in order, and the batches whose runs have to be started."""

    verdicts: tuple[Verdict, ...]
    batches: tuple[Batch, ...]


@dataclass(slots=True)  # one for each delivery: a frozen one takes three times as long to make
class _Row:
    """One delivery to be."""

    batch: UUID
    seq: int
    submission: Submission
    recipient: Recipient
    channel: str
    address: str | None
    life: float  # seconds
    provider: str = ""  # of its channel


_BOOK = """
SELECT r.tenant_id, r.id, r.addresses FROM recipient r
  JOIN unnest(CAST(:tenants AS text[]), CAST(:ids AS text[])) AS g(tenant_id, id) USING (tenant_id, id)
"""

_TAKE_KEYS = """
INSERT INTO idempotency_key AS k (tenant_id, key, fingerprint, notification_id, expires_at)
SELECT g.tenant_id, g.key, g.fingerprint, g.notification_id, now() + make_interval(secs => :life)
  FROM unnest(CAST(:tenants AS text[]), CAST(:keys AS text[]), CAST(:fingerprints AS bytea[]), CAST(:ids AS uuid[]))
       AS g(tenant_id, key, fingerprint, notification_id)
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

_INSERT = f"""
WITH batches AS (
    INSERT INTO batch (id, lead_id, priority, tenant_id, size, start_at)
    SELECT * FROM unnest(CAST(:b_id AS uuid[]), CAST(:b_lead AS uuid[]), CAST(:b_priority AS text[]),
        CAST(:b_tenant AS text[]), CAST(:b_size AS int[]), CAST(:b_start AS timestamptz[]))
), channels AS (
    INSERT INTO batch_channel (batch_id, channel, priority, size, next_look_at)
    SELECT batch, channel, priority, size, greatest(now(), start) + make_interval(secs => :grace)
      FROM unnest(CAST(:c_batch AS uuid[]), CAST(:c_channel AS text[]), CAST(:c_priority AS text[]),
        CAST(:c_size AS int[]), CAST(:c_start AS timestamptz[])) AS c(batch, channel, priority, size, start)
), notifications AS (
    INSERT INTO notification (id, tenant_id, priority, channels, content, metadata, batch_ids, first_seq, size,
                              send_at, expires_at, traceparent, tags)
    SELECT id, tenant, priority, string_to_array(channels, ' '), content, metadata,
           CAST(string_to_array(batches, ' ') AS uuid[]), first, size, send_at, expires_at, traceparent,
           string_to_array(tags, ' ')
      FROM unnest(CAST(:n_id AS uuid[]), CAST(:n_tenant AS text[]), CAST(:n_priority AS text[]),
        CAST(:n_channels AS text[]), CAST(:n_content AS jsonb[]), CAST(:n_metadata AS jsonb[]),
        CAST(:n_batches AS text[]), CAST(:n_first AS int[]), CAST(:n_size AS int[]), CAST(:n_send_at AS timestamptz[]),
        CAST(:n_expires_at AS timestamptz[]), CAST(:n_traceparent AS text[]), CAST(:n_tags AS text[]))
        AS n(id, tenant, priority, channels, content, metadata, batches, first, size, send_at, expires_at, traceparent,
             tags)
), deliveries AS (
    INSERT INTO delivery (batch_id, seq, notification_id, tenant_id, channel, recipient_id, address, status, provider,
                          due_at, expires_at, give_up_at, reason, address_hash)
    SELECT d.batch, d.seq, d.notification, d.tenant, d.channel, d.recipient, d.address,
           CASE WHEN s.at IS NULL THEN d.status ELSE 'suppressed' END, CASE WHEN s.at IS NULL THEN d.provider END,
           greatest(now(), d.send_at), d.expires_at, greatest(now(), d.send_at) + make_interval(secs => d.life),
           coalesce({WHY}, d.reason), d.hash
      FROM unnest(CAST(:batch AS uuid[]), CAST(:seq AS int[]), CAST(:notification AS uuid[]), CAST(:tenant AS text[]),
        CAST(:channel AS text[]), CAST(:recipient AS text[]), CAST(:address AS text[]), CAST(:status AS text[]),
        CAST(:provider AS text[]), CAST(:send_at AS timestamptz[]), CAST(:expires_at AS timestamptz[]),
        CAST(:life AS float8[]), CAST(:reason AS text[]), CAST(:hash AS bytea[]))
        AS d(batch, seq, notification, tenant, channel, recipient, address, status, provider, send_at, expires_at, life,
             reason, hash)
      LEFT JOIN suppression s ON s.tenant_id = d.tenant AND s.channel = d.channel AND s.address_hash = d.hash
    RETURNING batch_id, seq, status, provider, reason
)
INSERT INTO delivery_event (batch_id, seq, step, new, provider, attempt, key_no, reason)
SELECT batch_id, seq, 'accept', status, provider, 0, 0, reason FROM deliveries
"""  # noqa: S608 - built from constants

_TOMBSTONE = """
INSERT INTO batch (id, lead_id, priority, size) VALUES (:batch, :batch, 'none', 0) ON CONFLICT DO NOTHING RETURNING id
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
        self._db, self._channels, self._cap, self._first, self._invent = db, channels, cap, first, invent
        self._weight_of = weight_of

    async def accept(self, submissions: Sequence[Submission]) -> Flush:
        """Commit a group. One bad submission never hurts its neighbours: a group that fails on data is halved.

        Raises LedgerUnavailable when PostgreSQL is away: then nothing of the group was taken.
        """
        try:
            return await repeated(lambda: self._together(submissions))
        except DBAPIError as error:
            if len(submissions) == 1:
                return Flush((_culprit(error),), ())
        half = len(submissions) // 2
        first = await self.accept(submissions[:half])
        try:
            second = await self.accept(submissions[half:])
        except LedgerUnavailable:
            # The first half is committed and has to be told so.
            second = Flush(tuple(_unavailable() for _ in submissions[half:]), ())
        return Flush(first.verdicts + second.verdicts, first.batches + second.batches)

    async def _together(self, submissions: Sequence[Submission]) -> Flush:
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
            async with self._db.begin() as connection:
                new = await self._take_keys(connection, good, verdicts)
                batches, rows = self._batches(new)
                if rows:
                    await execute(connection, _INSERT, _values(batches, rows, self._secret, keys))
                    await searching.write(connection, new, self._keeps_text)
        except LedgerUnavailable:
            # The COMMIT may have gone through: make sure, before anyone is told.
            if not batches or await self._never_will_be(UUID(batches[0].run.batch)):
                raise
        return Flush(tuple(verdicts[s.id] for s in submissions), tuple(batches))

    async def _never_will_be(self, batch: UUID) -> bool:
        """Was this batch not committed? Takes its id if so: a COMMIT still under way somewhere then fails for good."""
        deadline = asyncio.get_running_loop().time() + _RESOLVE_FOR
        while True:
            try:
                return bool(await self._db.run(_TOMBSTONE, batch=batch))
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
            _content(submission)
            _json(submission.metadata)
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
        self, connection: AsyncConnection, submissions: Sequence[Submission], verdicts: dict[UUID, Verdict]
    ) -> list[Submission]:
        """Those that are new. The others get the first answer again, or learn that the key has another body."""
        keyed: dict[tuple[str, str], Submission] = {}
        for s in submissions:
            if s.idempotency_key:
                keyed.setdefault((s.tenant, s.idempotency_key), s)
        owners: dict[tuple[str, str], tuple[UUID, bytes]] = {}
        if keyed:
            await execute(connection, "SET LOCAL lock_timeout = '1s'", {})
            names = {"tenants": [k[0] for k in keyed], "keys": [k[1] for k in keyed]}
            firsts = list(keyed.values())
            values = {"fingerprints": [s.fingerprint for s in firsts], "ids": [s.id for s in firsts]}
            life = KEY_LIFE.total_seconds()
            taken = await execute(connection, _TAKE_KEYS, {**names, **values, "life": life})
            owners = {(r.tenant_id, r.key): _owner(keyed[r.tenant_id, r.key]) for r in taken}
            if len(taken) < len(keyed):
                known = await execute(connection, _KEYS, names)
                owners |= {(r.tenant_id, r.key): (r.notification_id, r.fingerprint) for r in known}
        new: list[Submission] = []
        for s in submissions:
            owner = owners[s.tenant, s.idempotency_key] if s.idempotency_key else _owner(s)
            verdicts[s.id] = verdict(s, owner)
            if owner[0] == s.id:
                new.append(s)
        return new

    def _batches(self, submissions: Sequence[Submission]) -> tuple[list[Batch], list[_Row]]:
        batches: list[Batch] = []
        rows: list[_Row] = []
        for group in _groups(submissions, self._cap, fair=self._weight_of is not None):
            names = dict.fromkeys(name for s in group for name in s.channels)
            providers = {name: self._first(self._channels[name]) for name in names}
            wanted = [(s, name, recipient) for s in group for name in s.channels for recipient in s.recipients]
            lead = new_id()
            for start in range(0, len(wanted), SPLIT):
                batch = lead if start == 0 else new_id()
                part = [self._row(batch, seq, *each) for seq, each in enumerate(wanted[start : start + SPLIT])]
                for row in part:
                    row.provider = providers[row.channel]
                rows += part
                batches.append(self._batch(batch, part, providers))
        return batches, rows

    def _batch(self, batch: UUID, rows: Sequence[_Row], providers: Mapping[str, str]) -> Batch:
        sizes: dict[str, int] = {}
        for row in rows:
            sizes[row.channel] = sizes.get(row.channel, 0) + 1
        first = rows[0].submission
        tenant = first.tenant if len({row.submission.tenant for row in rows}) == 1 else None
        run = Run(
            batch=str(batch),
            priority=first.priority,
            parts=[Part(name, size, providers[name]) for name, size in sizes.items()],
            tenant=tenant,
        )
        if tenant and self._weight_of:
            run = replace(run, owner=tenant, weight=self._weight_of(tenant))
        return Batch(run, first.send_at)

    def _row(self, batch: UUID, seq: int, submission: Submission, name: str, recipient: Recipient) -> _Row:
        channel = self._channels[name]
        address = recipient.addresses.get(channel.address)
        return _Row(batch, seq, submission, recipient, name, address, channel.life)


def _groups(submissions: Sequence[Submission], cap: int, *, fair: bool) -> Iterable[list[Submission]]:
    """What shares a batch: the same start time, and at most `cap` deliveries unless one alone has more.

    Who has much gets batches of their own, which take turns with those of the others; the rest share.
    """
    size_of = Counter[str]()
    for submission in submissions:
        size_of[submission.tenant] += submission.size
    apart: dict[tuple[datetime | None, str | None], list[Submission]] = {}
    for submission in submissions:
        own = submission.tenant if fair and size_of[submission.tenant] >= _MUCH else None
        apart.setdefault((submission.send_at, own), []).append(submission)
    for alike in apart.values():
        group: list[Submission] = []
        size = 0
        for submission in alike:
            if group and size + submission.size > cap:
                yield group
                group, size = [], 0
            group.append(submission)
            size += submission.size
        yield group


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


def _values(batches: Sequence[Batch], rows: Sequence[_Row], secret: bytes, keys: Keys) -> dict[str, Any]:
    """The columns of the one statement that inserts it all."""
    lead = {row.submission.id: row.batch for row in reversed(rows)}
    lead_of = {row.batch: lead[row.submission.id] for row in rows if row.submission.size > SPLIT}
    parts = [(batch, part) for batch in batches for part in batch.run.parts]
    notifications: dict[UUID, list[_Row]] = {}
    for row in rows:
        notifications.setdefault(row.submission.id, []).append(row)
    heads = [mine[0] for mine in notifications.values()]
    return {
        "grace": _START_GRACE,
        "b_id": [UUID(batch.run.batch) for batch in batches],
        "b_lead": [lead_of.get(UUID(batch.run.batch), UUID(batch.run.batch)) for batch in batches],
        "b_priority": [batch.run.priority.value for batch in batches],
        "b_tenant": [batch.run.tenant for batch in batches],
        "b_size": [sum(part.size for part in batch.run.parts) for batch in batches],
        "b_start": [batch.start_at for batch in batches],
        "c_batch": [UUID(batch.run.batch) for batch, _ in parts],
        "c_channel": [part.channel for _, part in parts],
        "c_priority": [batch.run.priority.value for batch, _ in parts],
        "c_size": [part.size for _, part in parts],
        "c_start": [batch.start_at for batch, _ in parts],
        "n_id": [head.submission.id for head in heads],
        "n_tenant": [head.submission.tenant for head in heads],
        "n_priority": [head.submission.priority.value for head in heads],
        "n_channels": [" ".join(head.submission.channels) for head in heads],
        "n_content": [_sealed_content(head.submission, keys) for head in heads],
        "n_metadata": [_json(head.submission.metadata) for head in heads],
        "n_batches": [" ".join(dict.fromkeys(str(row.batch) for row in mine)) for mine in notifications.values()],
        "n_first": [head.seq for head in heads],
        "n_size": [len(mine) for mine in notifications.values()],
        "n_send_at": [head.submission.send_at for head in heads],
        "n_expires_at": [head.submission.expires_at for head in heads],
        "n_traceparent": [head.submission.traceparent for head in heads],
        "n_tags": [" ".join(head.submission.tags) for head in heads],
        "batch": [row.batch for row in rows],
        "seq": [row.seq for row in rows],
        "notification": [row.submission.id for row in rows],
        "tenant": [row.submission.tenant for row in rows],
        "channel": [row.channel for row in rows],
        "recipient": [_name(row, keys) for row in rows],
        "address": [_sealed_address(row, keys) for row in rows],
        "status": [(Status.QUEUED if row.address else Status.SUPPRESSED).value for row in rows],
        "provider": [row.provider if row.address else None for row in rows],
        "send_at": [row.submission.send_at for row in rows],
        "expires_at": [row.submission.expires_at for row in rows],
        "life": [row.life for row in rows],
        "reason": [None if row.address else "no address" for row in rows],
        "hash": [
            blind(secret, row.submission.tenant, row.channel, row.address) if row.address else None for row in rows
        ],
    }


def _sealed_address(row: _Row, keys: Keys) -> str | None:
    if not row.address:
        return None
    return keys.sealing(row.submission.tenant).seal(address_of(row.batch, row.seq), row.address)


def _name(row: _Row, keys: Keys) -> str:
    """The recipient's id: the tenant's own as it is, one that is an address in a form to be found by."""
    id = row.recipient.id
    if row.recipient.named_by_address or version_of(id) is not None:
        return keys.sealing(row.submission.tenant).seal_same(RECIPIENT_ID, id)
    return id


def _sealed_content(submission: Submission, keys: Keys) -> str:
    return keys.sealing(submission.tenant).seal_json(content_of(submission.id), _content(submission))


def _content(submission: Submission) -> str:
    content = submission.content
    parts = {"text": content.text, "subject": content.subject, "html": content.html, "title": content.title}
    kept: dict[str, Any] = {name: part for name, part in parts.items() if part}
    return _json(kept | {"data": dict(content.data)} if content.data else kept) or "{}"


def _json(value: Mapping[str, Any] | None) -> str | None:
    return orjson.dumps(value).decode() if value is not None else None

"""Who may do what in the ledger: the database roles of our processes, and which rows of a tenant's tables they see.

The one place for it. `ledger/granting.py` brings a database to it, a test holds it against every table there is
(decision 0025). Tables that are not here nobody may use but the owner.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class LedgerRole(StrEnum):
    """A group role of the cluster, without a login: what a connection takes on when it opens."""

    API_READ = "clarion_api_read"  # shows one tenant what is its own
    API_WRITE = "clarion_api_write"  # changes what is one tenant's own, at its wish
    INTAKE = "clarion_intake"  # takes notifications of all tenants in
    RECEIPTS = "clarion_receipts"  # applies what vendors report
    WORKER = "clarion_worker"  # sends, settles, sweeps and tidies up
    OPERATE = "clarion_operate"  # tenants, keys, providers, and what operators do about all tenants


API_READ, API_WRITE, INTAKE, RECEIPTS, WORKER, OPERATE = LedgerRole

# Rows of a tenant's tables are only seen, and only written, by these when they are of the tenant that the transaction
# has named. The others carry many tenants' rows in one statement: columns and kinds of change are what holds them.
ONE_TENANT = (API_READ, API_WRITE)
EVERY_TENANT = (INTAKE, RECEIPTS, WORKER, OPERATE)

SETTING = "clarion.tenant"  # local to a transaction; unset or empty: no row is anybody's

_MINE = f"current_setting('{SETTING}', true)"
_OWN = f"tenant_id = {_MINE}"
# The same, but no index is looked into for it. A statement that names its tenant itself is planned before that: the
# planner then takes the tenant for nobody, and all of its deliveries, instead of the few asked for, for the fewest.
_OWN_BY_KEY = f"{_OWN} IS TRUE"


def _of_delivery(join: str) -> str:
    return f"EXISTS (SELECT 1 FROM delivery d WHERE {join} AND d.tenant_id = {_MINE})"  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Table:
    """`may`: the roles' privileges, as in GRANT. `own`: which rows are the named tenant's; None: no tenant sees it."""

    may: Mapping[LedgerRole, str] = field(default_factory=dict[LedgerRole, str])
    own: str | None = None


_READ = "SELECT"

# To lock a row one must be allowed to change something of it. Who moves a delivery reads all of it (RETURNING d.*).
_MOVED = "status, reason, updated_at"
_RETRIED = f"{_MOVED}, provider, tries, spent, due_at, give_up_at"
_SENT = f"{_RETRIED}, attempt, key_no, doubts, possible_duplicates, claimed_by, claimed_at, sent_at, doubt_until"
_KEY_SHOWN = "prefix, tenant_id, role, name, created_at, expires_at, revoked_at, last_used_at"
_SUPPRESSED = "reason, source, hint, at"
_ERASED = "recipient_id, address, address_hash"
_LOOKED_AT = "awaiting, armed, next_look_at, done_at"

TABLES: Mapping[str, Table] = {
    "alembic_version": Table({OPERATE: _READ}),
    "tenant": Table(
        {
            API_READ: "SELECT (id, limits, keep_text)",
            API_WRITE: "SELECT (id)",
            WORKER: _READ,
            OPERATE: "SELECT, INSERT, UPDATE",
        },
        f"id = {_MINE}",
    ),
    "api_key": Table(
        {
            API_READ: f"SELECT ({_KEY_SHOWN})",
            API_WRITE: f"SELECT ({_KEY_SHOWN}), INSERT, UPDATE (revoked_at, expires_at)",
            OPERATE: "SELECT, INSERT, UPDATE (revoked_at, expires_at, last_used_at)",
        },
        _OWN,
    ),
    "audit": Table({API_READ: _READ, API_WRITE: "INSERT", OPERATE: "SELECT, INSERT"}, _OWN),
    "tenant_key": Table(
        {
            API_READ: _READ,
            API_WRITE: "SELECT, INSERT",
            INTAKE: "SELECT, INSERT",
            RECEIPTS: _READ,
            WORKER: _READ,
            OPERATE: _READ,
        },
        _OWN,
    ),
    "recipient": Table(
        {API_READ: _READ, API_WRITE: "SELECT, INSERT, UPDATE, DELETE", INTAKE: "SELECT (tenant_id, id, addresses)"},
        _OWN,
    ),
    "suppression": Table(
        {
            API_READ: _READ,
            API_WRITE: "SELECT, INSERT, UPDATE (hint), DELETE",
            INTAKE: _READ,
            RECEIPTS: f"SELECT, INSERT, UPDATE ({_SUPPRESSED})",
            WORKER: f"SELECT, INSERT, UPDATE ({_SUPPRESSED})",
        },
        _OWN,
    ),
    "batch": Table(
        {
            API_WRITE: "SELECT, UPDATE (start_at)",
            INTAKE: "SELECT (id, size), INSERT, UPDATE (size)",
            WORKER: "SELECT, UPDATE (start_at)",
            OPERATE: "SELECT, UPDATE (start_at)",
        },
        _of_delivery("d.batch_id = batch.id"),
    ),
    "batch_channel": Table(
        {
            API_WRITE: f"SELECT, UPDATE ({_LOOKED_AT})",
            INTAKE: "SELECT (batch_id, channel, size, done_at), INSERT, UPDATE (size, next_look_at)",
            RECEIPTS: f"SELECT, UPDATE ({_LOOKED_AT})",
            WORKER: f"SELECT, UPDATE ({_LOOKED_AT}, tally, held)",
            OPERATE: f"SELECT, UPDATE ({_LOOKED_AT})",
        },
        _of_delivery("d.batch_id = batch_channel.batch_id"),
    ),
    "notification": Table(
        {
            API_READ: _READ,
            API_WRITE: "SELECT, UPDATE (send_at, content, metadata, tags)",
            INTAKE: "INSERT",
            RECEIPTS: "SELECT (id, batch_ids, first_seq, traceparent)",
            WORKER: _READ,
        },
        _OWN,
    ),
    "search_entry": Table(
        {API_READ: _READ, API_WRITE: "SELECT, DELETE", INTAKE: "INSERT", WORKER: "SELECT, DELETE"},
        _OWN,
    ),
    "delivery": Table(
        {
            API_READ: _READ,
            API_WRITE: f"SELECT, UPDATE ({_RETRIED}, {_ERASED})",
            INTAKE: "SELECT (batch_id, seq, status, provider, reason), INSERT",
            RECEIPTS: f"SELECT, UPDATE ({_MOVED}, doubts)",
            WORKER: f"SELECT, UPDATE ({_SENT})",
            OPERATE: f"SELECT, UPDATE ({_RETRIED})",
        },
        _OWN_BY_KEY,
    ),
    "delivery_event": Table(
        {
            API_READ: _READ,
            API_WRITE: "SELECT, INSERT, UPDATE (reason, message_id)",
            INTAKE: "INSERT",
            RECEIPTS: "INSERT",
            WORKER: "SELECT, INSERT",
            OPERATE: "SELECT, INSERT",
        },
        _of_delivery("d.batch_id = delivery_event.batch_id AND d.seq = delivery_event.seq"),
    ),
    "send_ref": Table({RECEIPTS: _READ, WORKER: "SELECT, INSERT, DELETE"}),
    "receipt": Table(
        {
            API_WRITE: "SELECT, UPDATE (reason)",
            RECEIPTS: "SELECT, INSERT, UPDATE (matched, batch_id, seq, key_no)",
            WORKER: "SELECT, UPDATE (matched, batch_id, seq, key_no), DELETE",
        },
        _of_delivery("d.batch_id = receipt.batch_id AND d.seq = receipt.seq"),
    ),
    "idempotency_key": Table(
        {INTAKE: "SELECT, INSERT, UPDATE (fingerprint, notification_id, expires_at)", WORKER: "SELECT, DELETE"}
    ),
    "notification_end": Table(
        {
            API_READ: _READ,
            API_WRITE: "SELECT, DELETE",
            WORKER: "SELECT, INSERT, UPDATE (status, ended_at), DELETE",
            OPERATE: "SELECT, DELETE",
        },
        _OWN,
    ),
    "dead_letter": Table(
        {
            API_READ: _READ,
            API_WRITE: "SELECT, UPDATE (reason), DELETE",
            RECEIPTS: "SELECT, DELETE",
            WORKER: "SELECT, INSERT, DELETE",
            OPERATE: "SELECT, DELETE",
        },
        _OWN,
    ),
    "statistic": Table({API_READ: _READ, WORKER: "SELECT, INSERT, DELETE"}, _OWN),
    "provider_switch": Table({WORKER: _READ, OPERATE: "SELECT, INSERT, UPDATE"}),
    "provider_event": Table({WORKER: "SELECT, INSERT", OPERATE: "SELECT, INSERT"}),
}

SEQUENCES: Mapping[str, Mapping[LedgerRole, str]] = {
    "delivery_event_id": dict.fromkeys((API_WRITE, *EVERY_TENANT), "USAGE"),
}

# The worker's `tidy` makes next month's partitions, which only an owner of tables can: by this function alone.
FUNCTIONS: Mapping[str, Mapping[LedgerRole, str]] = {"make_month": {WORKER: "EXECUTE"}}

"""Without its filter a query finds nothing of another tenant: the database holds the line that the filter should."""

import importlib
import pkgutil
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from seeding import CHANNELS, accept, batch_of, dead, sent, submission
from vaults import vault

import ledger
import ledger.vault as keeping
from domain import search
from domain.channels import EMAIL
from ledger import (
    audit,
    dead_letter_list,
    dead_letters,
    erasing,
    keys,
    limits,
    listing,
    notifications,
    recipients,
    searching,
    statistics,
    stopping,
    tenants,
)
from ledger.audit import By
from ledger.database import NAMING, Database, execute
from ledger.dead_letter_list import Which
from ledger.keys import Role
from ledger.listing import Filters
from ledger.recipients import Person
from ledger.roles import ONE_TENANT, LedgerRole
from ledger.tenants import Tenant

_FILTER = re.compile(r"\b(\w\.)?tenant_id = (:tenant|scope\.tenant)\b")


@dataclass(frozen=True)
class Scene:
    """What `other` has, and the ways to it as `acme`, which has nothing."""

    owner: Database
    read: Database
    write: Database
    waiting: UUID  # a notification
    head: Any  # where its deliveries are
    buried: UUID  # a batch with a dead letter
    key: str  # its prefix


@pytest_asyncio.fixture
async def scene(db: Database, database_url: str) -> AsyncIterator[Scene]:
    waiting = submission(tenant="other", recipients=("bea",), tags=("spring",))
    await accept(db, waiting)
    buried = batch_of(await accept(db, submission(tenant="other", recipients=("bea",))))
    await dead(db, buried, EMAIL)
    await sent(db, batch_of(await accept(db, submission(tenant="other"))), EMAIL)
    await recipients.put(db, "other", Person("bea", {"email": "bea@example.com"}))
    await tenants.create(db, Tenant("other", "Other"), By("test"))
    key, _ = await keys.create(db, "other", Role.READ, By("test"))
    read, write = (Database(database_url, role=role, vault=vault(), pool_size=1) for role in ONE_TENANT)
    found = await db.run("SELECT batch_ids, first_seq, size FROM notification WHERE id = :id", id=waiting.id)
    yield Scene(db, read.of("acme"), write.of("acme"), waiting.id, found[0], buried, key.prefix)
    await read.close()
    await write.close()


def unfiltered(statement: str) -> str:
    """The statement with somebody's mistake: the tenant is forgotten. It must have been asked for."""
    forgotten, n = _FILTER.subn("true", statement)
    assert n, "this statement asks for no tenant"
    return forgotten


def walk(source: str) -> str:
    return listing._WALK.format(source=unfiltered(source), may_be=listing._MAY_BE, has_all=listing._HAS_ALL)


def walked(scene: Scene) -> dict[str, Any]:
    left = Filters(status="PARTIAL_FAILURE", recipient="bea")
    by = search.tag("spring")
    return listing._values("acme", listing._Way("", left, by), listing._NEWEST, 50, ["bea"])


def has_all(scene: Scene) -> dict[str, Any]:
    return {"id": scene.waiting, "lows": ["#spring"], "highs": ["#spring"]}


def letters(scene: Scene) -> dict[str, Any]:
    return {**asdict(Which()), "after_at": None, "after_batch": None, "after_seq": None, "limit": 50}


def place(scene: Scene) -> dict[str, Any]:
    return {"batches": scene.head.batch_ids, "first": scene.head.first_seq, "size": scene.head.size}


def asked(scene: Scene) -> dict[str, Any]:
    return {"ids": [scene.waiting], "after_batches": [UUID(int=0)], "after_seqs": [-1], "limit": 50, "tenant": "acme"}


# Deliveries alone, as if what names them had been seen.
PAGE = f"""
SELECT d.*
  FROM (VALUES (CAST(:batches AS uuid[]), CAST(:first AS int), CAST(:size AS int))) AS h(batch_ids, first_seq, size),
       (VALUES (CAST(:after_batch AS uuid), -1)) AS a(after_batch, after_seq),
       LATERAL ({notifications._DELIVERIES}) AS d
"""


def page(scene: Scene) -> dict[str, Any]:
    return {**place(scene), "after_batch": UUID(int=0), "limit": 50}


# Those that never ask for a tenant are given ids that a filter before them has let through.
READS: dict[str, tuple[str, Callable[[Scene], dict[str, Any]]]] = {
    "statuses": (unfiltered(notifications._STATUS), asked),
    "history": (notifications._HISTORY, lambda scene: {"batches": [scene.buried], "seqs": [0], "most": 100}),
    "list by tenant": (walk(listing._OF_TENANT), walked),
    "list by status": (walk(listing._OF_STATUS), lambda scene: walked(scene) | {"status": "FAILED"}),
    "list by recipient": (walk(listing._OF_RECIPIENT), walked),
    "list by a term": (walk(listing._OF_TERM), walked),
    "list by terms": (walk(listing._OF_TERMS), walked),
    "has all terms": (
        f"SELECT 1 FROM (SELECT CAST(:id AS uuid) AS id) AS i WHERE {unfiltered(listing._HAS_ALL)}",
        has_all,
    ),
    "details": (listing._DETAILS, lambda scene: {"ids": [scene.waiting]}),
    "dead letters": (dead_letter_list._LIST, letters),
    "totals": (unfiltered(statistics._TOTALS), lambda scene: {}),
    "data keys": (keeping._READ, lambda scene: {"tenants": ["other"]}),
    "person": (unfiltered(recipients._GET), lambda scene: {"id": "bea"}),
    "what to stop": (unfiltered(stopping._HEAD), lambda scene: {"id": scene.waiting}),
    "keys": (keys._LIST, lambda scene: {"tenant": None}),
    "acts": (audit._LIST, lambda scene: dict.fromkeys(("tenant", "action", "since", "before")) | {"most": 50}),
    "limits": (limits._GET, lambda scene: {"id": "other"}),
    "where it stands": (stopping._STATUSES, place),
}

WRITES: dict[str, tuple[str, Callable[[Scene], dict[str, Any]]]] = {
    "cancel": (stopping._CANCEL, place),
    "discard": (dead_letters._DISCARD, lambda scene: {"batches": [scene.buried], "seqs": [0]}),
    "retry": (
        dead_letters._RETRY,
        lambda scene: {"batches": [scene.buried], "seqs": [0], **dead_letters._ways(CHANNELS, None)},
    ),
    "end a key": (keys._END, lambda scene: {"prefix": scene.key, "tenant": None, "overlap": 0.0}),
    "revoke a key": (keys._REVOKE, lambda scene: {"prefix": scene.key, "tenant": None}),
    "find no more": (unfiltered(searching._UNFIND), lambda scene: {"notifications": [scene.waiting]}),
    "forget a person": (unfiltered(erasing._UNBOOK), lambda scene: {"id": "bea"}),
}


def test_every_statement_that_asks_for_a_tenant_is_among_them() -> None:
    """A new one has to be put into a table above. WHICH is one condition in several statements."""
    tried = [statement for statement, _ in (*READS.values(), *WRITES.values())]
    tried.append(unfiltered(searching._MEASURE))
    untried: list[str] = []
    for module in pkgutil.iter_modules(ledger.__path__, "ledger."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, str) and _FILTER.search(value) and dead_letter_list.WHICH not in value:
                known = any(value in each or unfiltered(value) in each for each in tried)
                untried += [] if known else [f"{module.name}.{name}"]
    assert untried == []


@pytest.mark.parametrize("name", READS)
async def test_a_reader_without_its_filter_sees_nothing(scene: Scene, name: str) -> None:
    statement, values = READS[name]
    assert await scene.owner.run(statement, **values(scene)), "the filter was all that hid it"
    assert await scene.read.run(statement, **values(scene)) == []


async def test_a_page_of_deliveries_is_empty(scene: Scene) -> None:
    (mine,) = await scene.owner.run(PAGE, **page(scene))
    (theirs,) = await scene.read.run(PAGE, **page(scene))
    assert mine.totals and mine.batch_id
    assert not theirs.totals and not theirs.batch_id


async def test_what_is_measured_without_a_filter_is_nothing(scene: Scene) -> None:
    values = {"lows": ["#"], "highs": ["$"], "rare": 10}
    statement = unfiltered(searching._MEASURE)
    assert [row.n for row in await scene.owner.run(statement, **values)] == [1]
    assert [row.n for row in await scene.read.run(statement, **values)] == [0]


@pytest.mark.parametrize("name", WRITES)
async def test_a_change_without_its_filter_changes_nothing(scene: Scene, name: str) -> None:
    statement, values = WRITES[name]
    assert await scene.write.run(statement, **values(scene)) == []
    assert await scene.owner.run(statement, **values(scene)), "the filter was all that kept it"


async def test_a_batch_and_its_channels_are_only_theirs_who_have_a_delivery_in_it(scene: Scene) -> None:
    for table in ("batch", "batch_channel"):
        assert await scene.owner.run(f"SELECT 1 FROM {table}")
        assert await scene.write.run(f"SELECT 1 FROM {table}") == []
    await accept(scene.owner, submission(), submission(tenant="other"))
    for table in ("batch", "batch_channel"):
        assert len(await scene.write.run(f"SELECT 1 FROM {table}")) == 1


async def test_nothing_can_be_written_in_anothers_name(scene: Scene) -> None:
    entry = {"tenant": "other", "addresses": "{}", "locale": None, "timezone": None}
    for id in ("cid", "bea"):
        with pytest.raises(Exception, match=r'row-level security.* "recipient"'):
            await scene.write.run(recipients._PUT, id=id, **entry)
    with pytest.raises(Exception, match=r'row-level security.* "tenant_key"'):
        await recipients.put(scene.write, "other", Person("cid", {"email": "cid@example.com"}))


async def test_a_status_is_found_by_keys_and_not_among_all_of_the_tenants(scene: Scene) -> None:
    """It is planned before its tenant is named, when nothing seems cheaper than all that nobody has."""
    await accept(scene.owner, *(submission() for _ in range(200)))
    await scene.owner.run("ANALYZE notification, delivery")
    plan = await scene.read.run_naming(f"EXPLAIN {notifications._STATUS}", **asked(scene))
    looked_into = {name for (line,) in plan for name in re.findall(r"Scan using (\S+)", line)}
    assert {re.sub(r"_\d{4}_\d{2}|_default", "", name) for name in looked_into} == {
        "notification_tenant_id_id_idx",
        "delivery_pkey",
    }


async def test_one_connection_serves_tenants_in_turn(scene: Scene, database_url: str) -> None:
    """As a pooler hands it on: what a transaction was told ends with it, however that ends."""
    await accept(scene.owner, submission())
    one = Database(database_url, role=LedgerRole.API_READ, vault=vault(), pool_size=1)
    seen = "SELECT DISTINCT tenant_id FROM notification"
    named = f"SELECT n.* FROM {NAMING} CROSS JOIN LATERAL ({seen} WHERE tenant_id = scope.tenant) AS n"
    try:
        for _ in range(2):
            for tenant in ("acme", "other"):
                assert [row.tenant_id for row in await one.of(tenant).run(seen)] == [tenant]
                assert await one.run(seen) == []
                found = await one.of(tenant).run_naming(named, tenant="nobody's")
                assert [row.tenant_id for row in found] == [tenant], "it is the connections' tenant"
                assert await one.run(seen) == []
                with pytest.raises(ZeroDivisionError):
                    async with one.of(tenant).begin() as connection:
                        assert len(await execute(connection, seen, {})) == 1
                        raise ZeroDivisionError
                assert await one.run(seen) == []
        assert await one.of("").run(seen) == []
    finally:
        await one.close()

"""Search: every combination of filters finds what it says, page by page, as the role that reads, by index alone."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from seeding import accept, batch_of, failed, submission
from vaults import vault

from domain import search
from domain.channels import EMAIL
from domain.messages import Content
from domain.search import Sought
from domain.submissions import Submission
from ledger import listing as module
from ledger import searching, tenants
from ledger.audit import By
from ledger.database import Database, execute
from ledger.listing import Filters, listing
from ledger.roles import LedgerRole
from ledger.tenants import Tenant

MANY = 10_000


@pytest_asyncio.fixture
async def reader(database_url: str) -> AsyncIterator[Database]:
    """What shows tenant `acme` its own."""
    pool = Database(database_url, role=LedgerRole.API_READ, vault=vault(), pool_size=2)
    yield pool.of("acme")
    await pool.close()


def numbered(n: int) -> Submission:
    """The nth of many: tags, words and metadata that some, many or few others have too."""
    return submission(
        recipients=(f"person-{n % 50}",),
        tags=(f"campaign:{n % 3}", *(("rare",) if n % 1000 == 7 else ())),
        content=Content(text=f"Hello number{n}", subject=f"Part {n % 10}", title="Über alles" if n % 4 else None),
        metadata={"order": f"A-{n % 20:02}", "n": n},
    )


TERMS: dict[str, tuple[tuple[Sought, ...], Callable[[int], bool]]] = {
    "none": ((), lambda n: True),
    "tag": ((search.tag("campaign:1"),), lambda n: n % 3 == 1),
    "beginning of a tag": ((search.tag_prefix("campaign:"),), lambda n: True),
    "metadata": ((search.metadata_prefix("order:A-1"),), lambda n: n % 20 >= 10),
    "one word": (tuple(search.words("hello")), lambda n: True),
    "words": (tuple(search.words("über part 3")), lambda n: n % 4 > 0 and n % 10 == 3),
    "beginnings": (tuple(search.words("all* num*")), lambda n: n % 4 > 0),
    "all kinds": (
        (search.tag("campaign:2"), search.metadata_prefix("order:A-0"), *search.words("hel* part")),
        lambda n: n % 3 == 2 and n % 20 < 10,
    ),
    "nothing": ((search.tag("campaign"),), lambda n: False),
}
OTHERS: tuple[tuple[dict[str, Any], Callable[[int], bool]], ...] = (
    ({}, lambda n: True),
    ({"recipient": "person-3"}, lambda n: n % 50 == 3),
    ({"status": "FAILED"}, lambda n: n % 6 == 1),
    ({"status": "ENQUEUED", "channel": "email"}, lambda n: n % 6 != 1),
)


async def found(db: Database, limit: int, filters: Filters) -> list[UUID]:
    """All pages joined."""
    ids: list[UUID] = []
    after = None
    for _ in range(500):
        page = await listing(db, "acme", filters, limit, after)
        assert len(page.found) <= limit
        ids += [one.id for one in page.found]
        after = page.following
        if after is None:
            return ids
    raise AssertionError("no end")


@pytest.mark.parametrize(("window", "rare"), [(2, 3), (7, 1000), (1000, 2000)])
async def test_filters_combine(
    db: Database, reader: Database, monkeypatch: pytest.MonkeyPatch, window: int, rare: int
) -> None:
    monkeypatch.setattr(module, "_WINDOW", window)
    for place in (module, searching):
        monkeypatch.setattr(place, "RARE", rare)
    all_of_it = [numbered(n) for n in range(60)]
    for n, one in enumerate(all_of_it):
        flush = await accept(db, one, replace(numbered(n), tenant="other"), keeps_text=True)
        if n % 6 == 1:
            await failed(db, batch_of(flush), EMAIL)
    for (name, (terms, has)), (others, fits) in product(TERMS.items(), OTHERS):
        expected = [all_of_it[n].id for n in reversed(range(60)) if has(n) and fits(n)]
        for limit in (5, 100):
            hits = await found(reader, limit, Filters(**others, terms=terms))
            assert hits == expected, (name, others, limit)


async def test_pages_stay_whole_while_more_comes_in(db: Database, reader: Database) -> None:
    filters = Filters(terms=(search.tag_prefix("campaign:"), *search.words("hello")))
    there = [numbered(n) for n in range(10)]
    await accept(db, *there, keeps_text=True)
    seen: list[UUID] = []
    after = None
    for n in range(10, 30):
        page = await listing(reader, "acme", filters, 3, after)
        seen += [one.id for one in page.found]
        after = page.following
        if after is None:
            break
        await accept(db, numbered(n), keeps_text=True)
    assert seen == [one.id for one in reversed(there)]


async def test_an_item_shows_its_tags(db: Database, reader: Database) -> None:
    await accept(db, submission(tags=("b", "a")), submission())
    plain, tagged = (await listing(reader, "acme", Filters(), 5, None)).found
    assert (plain.tags, tagged.tags) == ((), ("b", "a"))


async def test_words_and_metadata_are_kept_of_those_who_chose_so_only(db: Database) -> None:
    await accept(db, numbered(1))
    assert {row.term for row in await db.run("SELECT term FROM search_entry")} == {"#campaign:1"}


async def test_who_keeps_no_text_any_more_has_it_forgotten(db: Database, database_url: str) -> None:
    for name in ("acme", "other"):
        await tenants.create(db, Tenant(name, name), By("test"))
        await tenants.update(db, name, {"keep_text": True}, By("test"))
    assert await searching.keepers(db) == {"acme", "other"}
    await accept(db, numbered(1), replace(numbered(2), tenant="other"), keeps_text=True)
    (all_of_other,) = await db.run("SELECT count(*) FROM search_entry WHERE tenant_id = 'other'")
    await tenants.update(db, "acme", {"keep_text": False}, By("test"))
    worker = Database(database_url, role=LedgerRole.WORKER, vault=vault(), pool_size=1)
    assert await searching.prune(worker) > 5
    assert await searching.prune(worker) == 0
    await worker.close()
    left = await db.run("SELECT tenant_id, term FROM search_entry ORDER BY 1, 2")
    assert [row.term for row in left if row.tenant_id == "acme"] == ["#campaign:1"]
    assert len(left) == 1 + all_of_other[0]


@pytest_asyncio.fixture
async def many(db: Database) -> Database:
    """So many notifications that the planner has a choice."""
    for start in range(0, MANY, 500):
        await accept(db, *map(numbered, range(start, start + 500)), keeps_text=True)
    ends = "CASE first_seq % 7 WHEN 0 THEN 'FAILED' WHEN 1 THEN 'CANCELLED' ELSE 'COMPLETED' END"
    await db.run(f"INSERT INTO notification_end SELECT id, tenant_id, {ends} FROM notification")
    for table in ("notification", "notification_end", "delivery", "search_entry"):
        await db.run(f"ANALYZE {table}")
    return db


async def read_of(connection: Any) -> Counter[str]:
    """Rows read by this connection: of tables from end to end, and `by_index`. What they have grown by counts."""
    rows = await execute(
        connection,
        "SELECT relname, seq_tup_read, coalesce(idx_tup_fetch, 0) AS fetched FROM pg_stat_xact_user_tables",
        {},
    )
    return Counter({row.relname: row.seq_tup_read for row in rows}) + Counter(by_index=sum(row.fetched for row in rows))


async def test_nothing_is_read_from_end_to_end(many: Database, reader: Database) -> None:
    """By plans for these values, and by plans for any."""
    kept = {name: terms for name, (terms, _) in TERMS.items()} | {
        "rare tag": (search.tag("rare"),),
        "rare word": tuple(search.words("number42")),
        "rare beginning": tuple(search.words("number421*")),
    }
    now = datetime.now(UTC)
    others = [*(other for other, _ in OTHERS), {"since": now - timedelta(hours=1), "until": now}]
    for mode, (name, terms), other in product(("custom", "generic"), kept.items(), others):
        if not terms and "recipient" not in other and not other.get("status"):
            continue  # the newest of all: by time alone
        filters = Filters(**other, terms=terms)
        async with reader.begin() as connection:
            await execute(connection, f"SET LOCAL plan_cache_mode = 'force_{mode}_plan'", {})
            before = await read_of(connection)
            numbers = await execute(connection, searching._MEASURE, measure(filters))
            way = module._way(filters, [row.n for row in numbers])
            statement = module._WALK.format(source=way.source, may_be=module._MAY_BE, has_all=module._HAS_ALL)
            forms = [filters.recipient, "sealed 1 x", "sealed 2 x"] if filters.recipient else []
            values = module._values("acme", way, module._NEWEST, module._WINDOW, forms)
            walked = await execute(connection, statement, values)
            details = {"ids": [row.id for row in walked if row.fits][:50]}
            await execute(connection, module._DETAILS, details)
            read = await read_of(connection) - before
        rows = read.pop("by_index", 0)
        assert not read, (mode, name, other, read)
        if mode == "generic" and not way.by:
            continue  # a plan for any status cannot know how few have this one
        assert rows < len(terms) * searching.RARE + 8 * module._WINDOW, (mode, name, other, rows)
        if name.startswith("rare") and "recipient" not in other:
            assert rows < 1000, (mode, name, other, rows)


def measure(filters: Filters) -> dict[str, Any]:
    lows, highs = [each.low for each in filters.terms], [each.high for each in filters.terms]
    return {"tenant": "acme", "lows": lows, "highs": highs, "rare": searching.RARE}

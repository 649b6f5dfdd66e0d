"""A COMMIT whose outcome nobody heard: whoever asked is told what really happened, and nothing is half accepted."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from commit_proxy import Cut, Proxy, proxied
from ledger_side import submission
from vaults import vault

from domain.channels import EMAIL
from domain.submissions import Accepted, Refused
from ledger.database import Database, LedgerUnavailable
from ledger.intake import Intake


@pytest_asyncio.fixture
async def proxy(database_url: str) -> AsyncIterator[tuple[Proxy, Database]]:
    """A ledger behind a proxy."""
    async with proxied(database_url) as (found, url):
        database = Database(url, vault=vault(), pool_size=3)
        yield found, database
        await database.close()


def way_in(db: Database) -> Intake:
    return Intake(db, {"email": EMAIL}, cap=512)


async def taken(db: Database) -> set[object]:
    """Notifications that are in the ledger, and in it as a whole."""
    rows = await db.run(
        """SELECT n.id, (SELECT count(*) FROM delivery d WHERE d.notification_id = n.id) AS deliveries,
                  (SELECT count(*) FROM batch_channel c WHERE c.batch_id = n.batch_ids[1]) AS channels
             FROM notification n"""
    )
    assert all(row.deliveries == 1 and row.channels == 1 for row in rows)
    return {row.id for row in rows}


async def test_the_proxy_is_in_the_way(proxy: tuple[Proxy, Database], db: Database) -> None:
    cutter, through = proxy
    await way_in(through).accept([submission()])
    assert cutter.commits == -1
    await way_in(through).accept([submission(key="k")])
    assert cutter.commits == -2


@pytest.mark.parametrize("key", ["k", None])
async def test_a_commit_whose_answer_is_lost_counts_as_accepted(
    proxy: tuple[Proxy, Database], db: Database, key: str | None
) -> None:
    cutter, through = proxy
    group = [submission(), submission(key=key), submission(text="x")]
    cutter.at_commit(1, Cut.ANSWER)
    flush = await way_in(through).accept(group)
    assert cutter.commits == 0
    assert flush.verdicts == tuple(Accepted(s.id) for s in group)
    assert await taken(db) == {s.id for s in group}
    assert len(flush.batches) == 1


@pytest.mark.parametrize("key", ["k", None])
async def test_a_commit_that_never_arrives_leaves_nothing(
    proxy: tuple[Proxy, Database], db: Database, key: str | None
) -> None:
    cutter, through = proxy
    group = [submission(), submission(key=key)]
    cutter.at_commit(1, Cut.REQUEST)
    with pytest.raises(LedgerUnavailable):
        await way_in(through).accept(group)
    assert await taken(db) == set()
    assert not await db.run("SELECT 1 FROM idempotency_key")
    again = submission(key="k")
    assert (await way_in(through).accept([again])).verdicts == (Accepted(again.id),)


async def test_the_half_that_is_committed_is_told_so_when_the_other_half_is_not(
    proxy: tuple[Proxy, Database], db: Database
) -> None:
    """A group is split for its poison; then the ledger goes away between the parts."""
    cutter, through = proxy
    good, poison, lost = [submission(), submission()], replace(submission(), metadata={"a": "\x00"}), submission()
    cutter.at_commit(5, Cut.REQUEST)  # after: all, the good, poison and lost, poison
    flush = await way_in(through).accept([*good, poison, lost])
    assert flush.verdicts[:2] == tuple(Accepted(s.id) for s in good)
    refused = [verdict.code for verdict in flush.verdicts[2:] if isinstance(verdict, Refused)]
    assert refused == ["not_storable", "unavailable"]
    assert await taken(db) == {s.id for s in good}
    assert [batch.run.parts[0].size for batch in flush.batches] == [2]

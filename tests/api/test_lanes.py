"""What arrives together in all lanes is committed together; a run is of one lane."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import replace

import seeding
from prometheus_client import REGISTRY

from api.parts import Parts
from domain.priorities import Priority
from domain.submissions import Accepted
from ledger.database import Database, execute

EACH = 40  # more than a lone message of each lane, less than a batch holds

_TAKEN = """
SELECT n.id, n.xmin::text AS commit, b.priority, n.priority AS own, d.batch_id AS batch
  FROM notification n JOIN delivery d ON d.notification_id = n.id JOIN batch b ON b.id = d.batch_id
"""


async def test_lanes_share_commits_and_no_batch(db: Database, parts: Parts) -> None:
    crowd = [seeding.submission(priority=priority) for _ in range(EACH) for priority in Priority]
    taken = await asyncio.gather(*map(parts.lanes.submit, crowd))
    assert all(isinstance(each, Accepted) and not each.replayed for each in taken)
    await parts.lanes.close()
    rows = await db.run(_TAKEN)
    assert Counter(row.own for row in rows) == dict.fromkeys(Priority, EACH)
    assert all(row.priority == row.own for row in rows)
    lanes_of: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        lanes_of[row.commit].add(row.own)
    assert set(Priority) in lanes_of.values()
    assert len(lanes_of) <= 4
    for lane in Priority:
        assert REGISTRY.get_sample_value("clarion_lane_depth", {"lane": lane.value}) == 0


async def test_what_is_urgent_is_in_the_next_commit_however_much_of_the_rest_waits(db: Database, parts: Parts) -> None:
    flood = [seeding.submission(priority=Priority.LOW, recipients=[f"u{n}" for n in range(40)]) for _ in range(20)]
    flooding = [asyncio.create_task(parts.lanes.submit(each)) for each in flood]
    await asyncio.sleep(0)
    await parts.lanes.submit(seeding.submission(priority=Priority.HIGH))
    assert sum(task.done() for task in flooding) < len(flooding)
    await asyncio.gather(*flooding)
    await parts.lanes.close()


async def test_a_message_does_not_wait_for_the_commit_of_another_tenants_flood(db: Database, parts: Parts) -> None:
    async with db.begin() as connection:
        await execute(connection, "LOCK TABLE idempotency_key", {})  # waited for until it lasts too long
        held = asyncio.create_task(parts.lanes.submit(replace(seeding.submission(), idempotency_key="k")))
        await asyncio.sleep(0.1)
        await parts.lanes.submit(seeding.submission(tenant="other"))
        assert not held.done()
    await held
    await parts.lanes.close()

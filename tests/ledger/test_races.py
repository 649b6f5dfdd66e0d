"""Two who want the same delivery at the same moment: one of them gets it, never both, never neither."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest_asyncio
from ledger_side import all_is_true, leg, submission
from protocol_rows import CHANNELS, RESENDING
from vaults import vault

from domain.ids import DeliveryId
from domain.settling import Rules
from domain.submissions import Submission
from ledger import deliveries, stopping
from ledger.database import Database
from ledger.deliveries import Claim
from ledger.intake import Intake
from ledger.settling import settle

CONNECTIONS = 16
HANDICAP = 4  # round trips: those against whom claims race need two or three themselves


@pytest_asyncio.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Connections enough for everybody to be at it at once."""
    database = Database(database_url, vault=vault(), pool_size=CONNECTIONS)
    yield database
    await database.close()


class Race:
    """One batch of several notifications, and those who run for it in shuffled order, all started at once."""

    def __init__(self, db: Database, batch: UUID, notifications: Sequence[UUID], chance: random.Random) -> None:
        self.db, self.batch, self.notifications, self.chance = db, batch, notifications, chance
        self.claimed: list[DeliveryId] = []

    @classmethod
    async def prepared(cls, db: Database, group: Sequence[Submission], chance: random.Random) -> "Race":
        flush = await Intake(db, CHANNELS, cap=512).accept(group)
        return cls(db, UUID(flush.batches[0].run.batch), [one.id for one in group], chance)

    async def run(self, rivals: list[Awaitable[None]], claims: int, most: int) -> None:
        """`rivals` against so many claims of up to `most` rows each."""
        everybody = [*rivals, *(self._late_claim(most) for _ in range(claims))]
        self.chance.shuffle(everybody)
        await asyncio.gather(*everybody)

    async def claim(self, chunk: int) -> list[Claim]:
        claims = await deliveries.claim(self.db, leg(self.batch, RESENDING), chunk)
        self.claimed += [claim.key.delivery for claim in claims]
        return claims

    async def _late_claim(self, most: int) -> None:
        """Random starts in round trips and not in seconds: the odds are the same on a slow machine."""
        for _ in range(self.chance.randrange(HANDICAP)):
            await self.db.run("SELECT 1")
        await self.claim(self.chance.randint(1, most))

    async def statuses(self) -> dict[DeliveryId, str]:
        rows = await self.db.run("SELECT seq, status FROM delivery WHERE batch_id = :b", b=self.batch)
        return {DeliveryId(self.batch, row.seq): row.status for row in rows}


async def test_ten_thousand_deliveries_are_cancelled_or_claimed(db: Database) -> None:
    chance = random.Random(1)
    batches, notifications, each = 125, 16, 5
    won = {"sending": 0, "cancelled": 0}
    split = 0  # notifications of which both got a part: the two met in the middle of one
    for _ in range(batches):
        race = await Race.prepared(db, [submission(["resending"], each) for _ in range(notifications)], chance)
        cancelled: list[DeliveryId] = []

        async def cancel(notification: UUID, into: list[DeliveryId] = cancelled) -> None:
            nonlocal split
            done = await stopping.cancel(db, "acme", notification)
            assert done is not None
            assert len(done.cancelled) + len(done.too_late) == each
            split += 0 < len(done.cancelled) < each
            into.extend(done.cancelled)

        await race.run([cancel(notification) for notification in race.notifications], claims=20, most=8)
        assert not await race.claim(500), "every cancel has answered: nothing may be left to send"
        statuses = await race.statuses()
        assert sorted(race.claimed + cancelled, key=str) == sorted(statuses, key=str), "each by exactly one"
        assert {status for delivery in race.claimed if (status := statuses[delivery])} <= {"sending"}
        assert {status for delivery in cancelled if (status := statuses[delivery])} <= {"cancelled"}
        won["sending"] += len(race.claimed)
        won["cancelled"] += len(cancelled)
    assert sum(won.values()) == 10_000
    assert min(won.values()) >= 1000, won
    assert split >= 50, split
    print(f"\n{won}, {split} notifications split")  # noqa: T201 - shown by pytest -s
    await all_is_true(db)


async def test_a_delivery_is_claimed_before_or_waits_for_its_new_time(db: Database) -> None:
    chance = random.Random(2)
    moved = 0
    for _ in range(10):
        race = await Race.prepared(db, [submission(["resending"]) for _ in range(80)], chance)
        later = datetime.now(UTC) + timedelta(hours=1)
        postponed: list[UUID] = []

        async def reschedule(notification: UUID, to: datetime = later, into: list[UUID] = postponed) -> None:
            done = await stopping.reschedule(db, "acme", notification, to)
            assert done is not None
            assert done.moved + done.too_late == 1
            into.extend([notification] * done.moved)

        await race.run([reschedule(notification) for notification in race.notifications], claims=30, most=5)
        assert len(race.claimed) + len(postponed) == 80, "each by exactly one"
        assert not await race.claim(500), "nothing acknowledged is sent before its new time"
        for notification in postponed:
            await stopping.reschedule(db, "acme", notification, datetime.now(UTC))
        assert len(await race.claim(500)) == len(postponed)
        moved += len(postponed)
    assert 80 <= moved <= 720, moved
    await all_is_true(db)


async def test_a_delivery_is_claimed_before_it_expires_or_never(db: Database) -> None:
    chance = random.Random(3)
    for pause in (5, 20, 80):  # a slow machine claims few in the shortest time
        fewest = await _claimed_or_expired(db, chance, pause)
        assert not await db.run("SELECT 1 FROM delivery WHERE status = 'sending' AND claimed_at >= expires_at")
        if fewest >= 40:
            break
    assert fewest >= 40


async def _claimed_or_expired(db: Database, chance: random.Random, pause: int) -> int:
    """Of 400 that expire one after the other, so many milliseconds apart: how many are the fewer, of the two."""
    expiring = submission(["resending"], 400, expires_at=datetime.now(UTC) + timedelta(hours=1))
    race = await Race.prepared(db, [expiring], chance)
    mine = "WHERE batch_id = :batch"
    await db.run(
        f"UPDATE delivery SET expires_at = now() + interval '1 ms' * :pause * seq {mine}", pause=pause, batch=race.batch
    )
    (end,) = await db.run(f"SELECT max(expires_at) AS at FROM delivery {mine}", batch=race.batch)

    async def claimer() -> None:
        while datetime.now(UTC) < end.at:
            await race.claim(1)
            await asyncio.sleep(chance.uniform(0, 0.02 * pause))

    await asyncio.gather(*(claimer() for _ in range(6)))
    await settle(db, race.batch, Rules.clear(RESENDING))
    statuses = list((await race.statuses()).values())
    assert statuses.count("sending") + statuses.count("expired") == 400
    return min(statuses.count("sending"), statuses.count("expired"))

"""The ledger's checker: a sound ledger is clean, and each way of damaging a real one is found under its name."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
import seeding
from ledger_side import let_pass

from domain.channels import EMAIL, SMS
from domain.ids import DeliveryId, SendKey, new_id
from domain.outcomes import Answer, Outcome, accepted, in_doubt
from domain.receipts import Receipt, Report
from domain.settling import Rules
from ledger import dead_letters, receipts, stopping
from ledger.checking import reading
from ledger.checking.checker import check
from ledger.checking.outside import Outside, Takes, accepted_ids
from ledger.checking.report import Invariant
from ledger.checking.report import Report as Found
from ledger.database import Database
from ledger.settling import settle

HOUR = timedelta(hours=1)


@dataclass
class Life:
    """A ledger in which most of what can happen has happened. Each is one delivery, alone in its batch."""

    db: Database
    delivered: UUID
    twice: UUID  # taken by two vendors, and counted
    final: UUID
    dead: UUID
    cancelled: UUID
    expired: UUID
    scheduled: UUID
    under_way: UUID
    notifications: list[UUID]
    taken: list[tuple[SendKey, datetime]]

    async def found(self, takes: Takes | None = None) -> Found:
        cancelled = frozenset({DeliveryId(self.cancelled, 0)})
        return await check(self.db, Outside(accepted=[self.notifications], cancelled=cancelled, takes=takes))


@pytest_asyncio.fixture
async def life(db: Database) -> Life:
    now = datetime.now(UTC)
    taken: list[tuple[SendKey, datetime]] = []
    notifications: list[UUID] = []

    async def new(**more: object) -> UUID:
        one = seeding.submission(**more)  # type: ignore[arg-type]
        notifications.append(one.id)
        return seeding.batch_of(await seeding.accept(db, one))

    async def sent(batch: UUID, answer: Answer, provider: str | None = None, taken_too: bool = True) -> SendKey:
        [claim] = await seeding.claim_due(db, batch, EMAIL, provider)
        if taken_too:
            taken.append((claim.key, datetime.now(UTC)))
        await seeding.answer(db, EMAIL, [claim], answer, provider)
        return claim.key

    async def reported(key: SendKey) -> None:
        await receipts.hear(db, [Receipt("sendgrid", str(key), Report.DELIVERED, now, key=key)])
        await settle(db, key.delivery.batch, Rules.clear(EMAIL))

    delivered = await new(expires_at=now + HOUR)
    await reported(await sent(delivered, accepted("m1")))
    twice = await new()
    await sent(twice, in_doubt("timeout"))
    await let_pass(db, twice, 1000)
    await settle(db, twice, Rules.clear(EMAIL))
    await reported(await sent(twice, accepted("m2"), "ses"))
    final = await new()
    await sent(final, accepted("m3"))
    await let_pass(db, final, 20_000)
    await settle(db, final, Rules.clear(EMAIL))
    dead = await new()
    await seeding.dead(db, dead, EMAIL)
    cancelled = await new()
    await stopping.cancel(db, "acme", notifications[-1])
    await settle(db, cancelled, Rules.clear(EMAIL))
    expired = await new(expires_at=now + HOUR)
    await let_pass(db, expired, 2 * 3600)
    await settle(db, expired, Rules.clear(EMAIL))
    scheduled = await new(send_at=now + HOUR)
    under_way = await new(channels=("email", "sms"), recipients=("ann", "bob"))
    await seeding.claim_due(db, under_way, SMS)
    return Life(
        db, delivered, twice, final, dead, cancelled, expired, scheduled, under_way, notifications, taken
    )  # fmt: skip


def vendor_log(folder: Path, taken: Sequence[tuple[SendKey, datetime]]) -> Path:
    file = folder / "log.jsonl"
    lines = [json.dumps({"n": n, "at": at.timestamp(), "key": str(key)}) for n, (key, at) in enumerate(taken, 1)]
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def broken(found: Found) -> set[Invariant]:
    return {name for name, tally in found.tallies.items() if tally.wrong}


async def test_a_sound_ledger_is_clean(life: Life, tmp_path: Path) -> None:
    with Takes(vendor_log(tmp_path, life.taken)) as takes:
        found = await life.found(takes)
    assert found.clean, {name: tally.first for name, tally in found.tallies.items() if tally.wrong}
    assert set(found.tallies) == set(Invariant)
    assert found.ended["delivered"] == 2
    assert (found.taken, found.extra) == (4, 1)


DAMAGES = (
    ("delivered", "UPDATE delivery SET status = 'failed' WHERE batch_id = :b", Invariant.PATH),
    (
        "delivered",
        "UPDATE delivery_event SET new = 'in_doubt' WHERE batch_id = :b AND new = 'sent'",
        Invariant.PATH,
    ),
    ("delivered", "DELETE FROM delivery_event WHERE batch_id = :b AND step = 'claim'", Invariant.PATH),
    ("delivered", "DELETE FROM delivery_event WHERE batch_id = :b", Invariant.PATH),
    ("delivered", "UPDATE delivery SET attempt = 7 WHERE batch_id = :b", Invariant.FENCE),
    ("delivered", "UPDATE delivery_event SET key_no = 3 WHERE batch_id = :b AND step = 'claim'", Invariant.FENCE),
    ("twice", "UPDATE delivery SET possible_duplicates = 0 WHERE batch_id = :b", Invariant.DOUBTS),
    ("twice", "UPDATE delivery SET doubts = 0 WHERE batch_id = :b", Invariant.DOUBTS),
    ("delivered", "DELETE FROM delivery WHERE batch_id = :b", Invariant.COMPLETE),
    ("under_way", "DELETE FROM delivery WHERE batch_id = :b AND seq = 2", Invariant.COMPLETE),
    ("delivered", "DELETE FROM notification WHERE batch_ids[1] = :b", Invariant.COMPLETE),
    ("under_way", "UPDATE batch_channel SET done_at = now() WHERE batch_id = :b", Invariant.OPEN),
    ("under_way", "DELETE FROM batch_channel WHERE batch_id = :b", Invariant.OPEN),
    (
        "under_way",
        "UPDATE batch_channel SET next_look_at = now() + interval '1 day' WHERE batch_id = :b",
        Invariant.OPEN,
    ),
    (
        "under_way",
        "UPDATE batch_channel SET next_look_at = now() - interval '2 min' WHERE batch_id = :b",
        Invariant.STUCK,
    ),
    (
        "under_way",
        "UPDATE delivery SET claimed_at = now() - interval '1 hour' WHERE batch_id = :b AND status = 'sending'",
        Invariant.STUCK,
    ),
    ("delivered", "UPDATE batch_channel SET awaiting = 1 WHERE batch_id = :b", Invariant.AWAITING),
    ("dead", "DELETE FROM dead_letter WHERE batch_id = :b", Invariant.LETTERS),
    ("delivered", "INSERT INTO dead_letter VALUES (:b, 0, 'acme', 'email')", Invariant.LETTERS),
    ("delivered", "INSERT INTO dead_letter VALUES (gen_random_uuid(), 0, 'acme', 'email')", Invariant.LETTERS),
    (
        "delivered",
        "UPDATE notification_end e SET status = 'FAILED' FROM notification n"
        " WHERE e.notification_id = n.id AND n.batch_ids[1] = :b",
        Invariant.ENDS,
    ),
    (
        "dead",
        "DELETE FROM notification_end e USING notification n WHERE e.notification_id = n.id AND n.batch_ids[1] = :b",
        Invariant.ENDS,
    ),
    (
        "under_way",
        "INSERT INTO notification_end SELECT id, 'acme', 'COMPLETED' FROM notification WHERE batch_ids[1] = :b",
        Invariant.ENDS,
    ),
    (
        "delivered",
        "UPDATE delivery SET expires_at = now() - interval '1 hour' WHERE batch_id = :b",
        Invariant.EXPIRY,
    ),
)
TABLES = ("batch_channel", "notification", "notification_end", "delivery", "delivery_event", "dead_letter")


@asynccontextmanager
async def undone(db: Database) -> AsyncIterator[None]:
    """After the block the rows are again what they were."""
    for table in TABLES:
        await db.run(f"CREATE TABLE kept_{table} AS TABLE {table}")
    yield
    for table in TABLES:
        await db.run(f"TRUNCATE {table}")
        await db.run(f"INSERT INTO {table} SELECT * FROM kept_{table}")
        await db.run(f"DROP TABLE kept_{table}")


async def test_each_damage_is_found_under_its_name(life: Life) -> None:
    missed: list[str] = []
    for victim, damage, invariant in DAMAGES:
        async with undone(life.db):
            await life.db.run(damage, **({"b": getattr(life, victim)} if ":b" in damage else {}))
            found = await life.found()
        if invariant not in broken(found) or not found.tallies[invariant].first[0].why:
            missed.append(damage)
    assert missed == []
    assert (await life.found()).clean, "the damage outlived its test"


async def test_a_claim_that_is_no_event_is_found(life: Life) -> None:
    """The classic: somebody sets a state past the one way to change it."""
    await life.db.run("UPDATE delivery SET status = 'sent' WHERE batch_id = :b", b=life.scheduled)
    assert broken(await life.found()) == {Invariant.PATH, Invariant.AWAITING}


async def test_an_id_that_was_accepted_and_is_not_there_is_found(life: Life, tmp_path: Path) -> None:
    file = tmp_path / "accepted"
    lost = new_id()
    file.write_text("".join(f"{n} {one}\n" for n, one in enumerate([*life.notifications, lost])))
    found = await check(life.db, Outside(accepted=accepted_ids(file)))
    assert broken(found) == {Invariant.ACCEPTED}
    assert [offender.id for offender in found.tallies[Invariant.ACCEPTED].first] == [str(lost)]
    assert found.tallies[Invariant.ACCEPTED].checked == len(life.notifications) + 1


async def test_what_was_answered_to_be_cancelled_and_is_not_is_found(life: Life) -> None:
    promised = frozenset({DeliveryId(life.cancelled, 0), DeliveryId(life.scheduled, 0)})
    found = await check(life.db, Outside(cancelled=promised))
    assert broken(found) == {Invariant.CANCELLED}
    assert [one.id for one in found.tallies[Invariant.CANCELLED].first] == [f"{life.scheduled}.0"]


async def held_against(life: Life, folder: Path, taken: Sequence[tuple[SendKey, datetime]]) -> set[Invariant]:
    with Takes(vendor_log(folder, taken)) as takes:
        return broken(await life.found(takes))


def key(batch: UUID, key_no: int = 1) -> SendKey:
    return SendKey(DeliveryId(batch, 0), key_no)


async def test_a_message_no_vendor_has_taken_is_found(life: Life, tmp_path: Path) -> None:
    without = [(one, at) for one, at in life.taken if one.delivery.batch != life.delivered]
    assert await held_against(life, tmp_path, without) == {Invariant.TAKEN}


async def test_a_duplicate_nobody_counted_is_found(life: Life, tmp_path: Path) -> None:
    assert await held_against(life, tmp_path, [*life.taken, life.taken[0]]) == {Invariant.ONCE}


async def test_a_send_after_a_definite_no_is_no_duplicate(life: Life, tmp_path: Path) -> None:
    batch = seeding.batch_of(await seeding.accept(life.db, seeding.submission()))
    taken = list(life.taken)
    for provider, answer in (("sendgrid", accepted("m7")), ("ses", accepted("m8"))):
        [claim] = await seeding.claim_due(life.db, batch, EMAIL, provider)
        taken.append((claim.key, datetime.now(UTC)))
        await seeding.answer(life.db, EMAIL, [claim], answer, provider)
        bounce = Receipt(provider, f"bounce of {claim.key}", Report.UNDELIVERED, datetime.now(UTC), key=claim.key)
        await receipts.hear(life.db, [bounce])
        await settle(life.db, batch, Rules.clear(EMAIL))
    assert await held_against(life, tmp_path, taken) == set()


async def test_what_was_taken_though_it_is_cancelled_or_expired_is_found(life: Life, tmp_path: Path) -> None:
    for victim in (life.cancelled, life.expired):
        found = await held_against(life, tmp_path, [*life.taken, (key(victim), datetime.now(UTC))])
        assert Invariant.NEVER in found


async def test_what_was_taken_without_a_claim_is_found(life: Life, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    for stray in (
        key(life.scheduled),
        key(life.delivered, 9),
        key(new_id()),
        SendKey(DeliveryId(life.delivered, 9), 1),
    ):
        assert Invariant.CLAIMED in await held_against(life, tmp_path, [*life.taken, (stray, now)])


async def test_what_was_taken_long_after_its_expiry_is_found(life: Life, tmp_path: Path) -> None:
    batch = seeding.batch_of(await seeding.accept(life.db, seeding.submission(expires_at=datetime.now(UTC) + HOUR)))
    [claim] = await seeding.claim_due(life.db, batch, EMAIL)
    for late, expected in ((timedelta(0), set()), (2 * HOUR, {Invariant.LATE})):
        taken = [*life.taken, (claim.key, datetime.now(UTC) + late)]
        assert await held_against(life, tmp_path, taken) == expected


async def test_a_retried_dead_letter_is_legal(life: Life) -> None:
    await dead_letters.retry(life.db, seeding.CHANNELS, dead_letters.Which(batch=life.dead))
    assert (await life.found()).clean


async def test_what_is_unfinished_is_counted(life: Life) -> None:
    left = await reading.unfinished(life.db)
    assert (left.open, left.dead) == (5, 1)
    await seeding.answer(
        life.db, EMAIL, await seeding.claim_due(life.db, life.under_way, EMAIL), Answer(Outcome.REJECTED)
    )
    assert (await reading.unfinished(life.db)).open == 3


async def test_pages_end_and_leave_nothing_out(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("_BATCHES", 3), ("_DELIVERIES", 4), ("_NOTIFICATIONS", 2)):
        monkeypatch.setattr(reading, name, size)
    for _ in range(8):
        await seeding.accept(db, seeding.submission(recipients=("ann", "bob", "cy")))
    told: list[int] = []
    found = await check(db, at=told.append)
    assert found.clean
    assert found.ended == {"queued": 24}
    assert told[-1] == 8
    assert found.tallies[Invariant.PATH].checked == 24


def test_a_file_that_says_something_else_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text('{"key": null}\n')
    with pytest.raises(ValueError, match="not a line of the sandbox's log"):
        Takes(file)
    with pytest.raises(ValueError, match="is not an id"):
        list(accepted_ids(file))

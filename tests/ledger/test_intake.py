"""Group commit of notifications: poison, idempotency keys, size, schedule, and a ledger that is away."""

import asyncio
import random
import socket
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ledger_side import leg, submission
from vaults import vault

from domain.channels import EMAIL, PUSH, SMS
from domain.messages import Content
from domain.submissions import Accepted, Recipient, Refused, Submission
from ledger.batching import SPLIT
from ledger.database import Database, LedgerUnavailable, asking
from ledger.deliveries import claim
from ledger.grouping import Flushed, Group
from ledger.intake import Flush, Intake, Verdict

CHANNELS = {channel.name: channel for channel in (EMAIL, SMS, PUSH)}


def intake(db: Database, cap: int = 512, *, invent: bool = False) -> Intake:
    return Intake(db, CHANNELS, cap=cap, invent=invent)


def lane(way_in: Intake) -> Group[Submission, Verdict]:
    async def flush(group: list[Submission]) -> Flushed[Verdict]:
        return (await way_in.accept(group)).verdicts, None

    return Group(flush, cap=512, bound=5000)


async def count(db: Database, table: str) -> int:
    return (await db.run(f"SELECT count(*) FROM {table}"))[0][0]


def codes(flush: Flush) -> list[str]:
    return [verdict.code if isinstance(verdict, Refused) else "accepted" for verdict in flush.verdicts]


async def test_of_200_at_once_exactly_the_poison_is_refused_and_one_key_gets_one_id(db: Database) -> None:
    poison = [replace(submission(tenant=f"poisoner {n}"), metadata={"a": "\x00"}) for n in range(3)]
    repeats = [submission(key="same") for _ in range(20)]
    rest = [submission(tenant=f"tenant {n}", key=f"key {n}" if n % 2 else None) for n in range(177)]
    crowd = poison + repeats + rest
    random.Random(7).shuffle(crowd)
    group = lane(intake(db))
    verdicts = dict(zip((s.id for s in crowd), await asyncio.gather(*(group.put(s) for s in crowd)), strict=True))
    assert {id for id, verdict in verdicts.items() if isinstance(verdict, Refused)} == {s.id for s in poison}
    answers = [verdicts[s.id] for s in repeats]
    assert all(isinstance(answer, Accepted) for answer in answers)
    assert len({answer.id for answer in answers}) == 1  # type: ignore[union-attr]
    assert sum(answer.replayed for answer in answers) == 19  # type: ignore[union-attr]
    assert await count(db, "notification") == await count(db, "delivery") == 178
    assert await count(db, "idempotency_key") == 1 + sum(s.idempotency_key is not None for s in rest)


POISON = {
    "NUL in the metadata": lambda s: replace(s, metadata={"a": "\x00"}),
    "NUL in a key": lambda s: replace(s, idempotency_key="\x00"),
    "a lone surrogate in the text": lambda s: replace(s, content=Content("\ud800")),
    "a lone surrogate in an id": lambda s: replace(
        s, recipients=(Recipient("\udfff", {"email": "a@b.example"}, known=True),)
    ),
    "a number JSON cannot carry": lambda s: replace(s, metadata={"n": 10**30}),
    "NUL in the trace": lambda s: replace(s, traceparent="\x00"),
}


@pytest.mark.parametrize("what", POISON)
async def test_poison_of_any_kind_harms_only_itself(db: Database, what: str) -> None:
    crowd = [submission() for _ in range(7)]
    crowd[3] = POISON[what](crowd[3])
    flush = await intake(db).accept(crowd)
    assert codes(flush) == ["accepted"] * 3 + ["not_storable"] + ["accepted"] * 3
    assert await count(db, "notification") == 6
    assert sum(part.size for batch in flush.batches for part in batch.run.parts) == 6


async def test_another_body_under_the_same_key_is_refused_in_one_flush_and_later(db: Database) -> None:
    way_in = intake(db)
    first, other = submission(key="k"), submission(key="k", fingerprint=b"another body")
    assert codes(await way_in.accept([first, other])) == ["accepted", "idempotency_key_reused"]
    assert codes(await way_in.accept([submission(key="k", fingerprint=b"a third")])) == ["idempotency_key_reused"]
    assert await count(db, "notification") == 1


async def test_a_key_is_of_its_tenant(db: Database) -> None:
    flush = await intake(db).accept([submission(key="k", tenant=tenant) for tenant in ("a", "b")])
    assert [verdict.replayed for verdict in flush.verdicts if isinstance(verdict, Accepted)] == [False, False]


async def test_a_repeated_request_gets_the_first_answer_again(db: Database) -> None:
    way_in = intake(db)
    first, later = submission(key="k"), submission(key="k")
    await way_in.accept([first])
    assert await way_in.accept([later]) == Flush((Accepted(first.id, replayed=True),), ())
    assert await count(db, "notification") == 1


async def test_an_expired_key_can_be_used_anew(db: Database) -> None:
    way_in = intake(db)
    await way_in.accept([submission(key="k")])
    await db.run("UPDATE idempotency_key SET expires_at = now() - interval '1 s'")
    again = submission(key="k", fingerprint=b"another body")
    assert (await way_in.accept([again])).verdicts == (Accepted(again.id),)
    assert (await way_in.accept([submission(key="k", fingerprint=b"another body")])).verdicts == (
        Accepted(again.id, replayed=True),
    )


async def test_of_several_processes_with_one_key_one_takes_it(db: Database, database_url: str) -> None:
    others = [Database(database_url, vault=vault(), pool_size=2) for _ in range(4)]
    for n in range(10):
        keys = [f"{n} {m}" for m in range(5)]
        groups = [[submission(key=key) for key in random.sample(keys, 5)] for _ in others]
        flushes = await asyncio.gather(*(intake(o).accept(g) for o, g in zip(others, groups, strict=True)))
        by_key: dict[str | None, list[Verdict]] = {}
        for group, flush in zip(groups, flushes, strict=True):
            for one, verdict in zip(group, flush.verdicts, strict=True):
                by_key.setdefault(one.idempotency_key, []).append(verdict)
        for verdicts in by_key.values():
            accepted = [verdict for verdict in verdicts if isinstance(verdict, Accepted)]
            assert len(accepted) == 4
            assert len({verdict.id for verdict in accepted}) == 1
            assert sum(not verdict.replayed for verdict in accepted) == 1
    assert await count(db, "notification") == 50
    for other in others:
        await other.close()


async def test_a_key_whose_first_request_hangs_is_in_progress_and_holds_up_nobody_else(
    db: Database, database_url: str
) -> None:
    other = Database(database_url, vault=vault(), pool_size=1)
    async with other.begin() as connection:
        await intake(other)._take_keys(asking(connection), [submission(key="k")], {})
        flush = await intake(db).accept([submission(), submission(key="k"), submission()])
        assert codes(flush) == ["accepted", "in_progress", "accepted"]
    await other.close()


async def test_1000_people_on_3_channels_fill_several_batches_of_one_notification(db: Database) -> None:
    large, small = submission(list(CHANNELS), 1000), submission()
    flush = await intake(db).accept([small, large])
    assert codes(flush) == ["accepted", "accepted"]
    sizes = Counter[str]()
    for batch in flush.batches:
        assert sum(part.size for part in batch.run.parts) <= SPLIT
        sizes.update({part.channel: part.size for part in batch.run.parts})
    assert sizes == {"email": 1001, "sms": 1000, "push": 1000}
    (row,) = await db.run("SELECT batch_ids, first_seq, size FROM notification WHERE id = :id", id=large.id)
    assert (len(row.batch_ids), row.first_seq, row.size) == (6, 0, 3000)
    batches = await db.run("SELECT id, lead_id, size FROM batch WHERE id = ANY(:ids)", ids=row.batch_ids)
    assert {b.lead_id for b in batches} == {row.batch_ids[0]}
    assert sum(b.size for b in batches) == 3000
    known = await db.run(
        """SELECT count(*) AS n, count(DISTINCT (channel, recipient_id)) AS different,
                  count(DISTINCT batch_id) AS batches FROM delivery WHERE notification_id = :id""",
        id=large.id,
    )
    assert known[0] == (3000, 3000, 6)


async def test_a_batch_is_capped_by_deliveries_and_max_batch_1_gives_each_its_own(db: Database) -> None:
    group = [submission(["email", "sms"], 3) for _ in range(5)]
    assert [b.run.parts[0].size for b in (await intake(db, cap=12).accept(group)).batches] == [6, 6, 3]
    alone = await intake(db, cap=1).accept([replace(s, id=submission().id) for s in group])
    assert len(alone.batches) == 5


async def test_what_is_scheduled_is_due_then_and_shares_no_batch_with_what_is_not(db: Database) -> None:
    later = datetime.now(UTC) + timedelta(hours=2)
    flush = await intake(db).accept([submission(), submission(send_at=later), submission(send_at=later)])
    assert [(batch.start_at, batch.run.parts[0].size) for batch in flush.batches] == [(None, 1), (later, 2)]
    rows = await db.run("SELECT due_at, give_up_at FROM delivery ORDER BY due_at")
    assert [row.due_at == later for row in rows] == [False, True, True]
    assert rows[1].give_up_at == later + timedelta(seconds=EMAIL.life)
    looks = await db.run("SELECT next_look_at FROM batch_channel ORDER BY next_look_at")
    assert looks[1].next_look_at > later > looks[0].next_look_at


async def test_a_channel_somebody_has_no_address_for_is_suppressed(db: Database) -> None:
    await intake(db).accept([submission(["email", "sms"], addresses={"phone": "+14155550100"})])
    rows = await db.run("SELECT channel, status, provider, reason FROM delivery ORDER BY channel")
    assert [tuple(row) for row in rows] == [
        ("email", "suppressed", None, "no address"),
        ("sms", "queued", SMS.route[0], None),
    ]


async def test_nobody_with_an_address_and_nobody_in_the_book_are_refused(db: Database) -> None:
    unknown = replace(submission(), recipients=(Recipient("who"),))
    homeless = submission(addresses={})
    assert codes(await intake(db).accept([unknown, submission(), homeless])) == [
        "unknown_recipient",
        "accepted",
        "no_address",
    ]
    assert codes(await intake(db, invent=True).accept([replace(unknown, id=submission().id)])) == ["accepted"]


async def test_the_address_book_is_the_tenants_own(db: Database) -> None:
    await db.run(
        """INSERT INTO recipient (tenant_id, id, addresses) VALUES ('acme', 'ann', '{"email": "ann@a.example"}'),
           ('other', 'bob', '{"email": "bob@b.example"}')"""
    )
    ann, bob = (replace(submission(), recipients=(Recipient(name),)) for name in ("ann", "bob"))
    assert codes(await intake(db).accept([ann, bob])) == ["accepted", "unknown_recipient"]
    (batch,) = await db.run("SELECT id FROM batch")
    assert [one.address for one in await claim(db, leg(batch.id, EMAIL), 10)] == ["ann@a.example"]


async def test_every_accepted_delivery_has_its_first_event(db: Database) -> None:
    await intake(db).accept([submission(["email", "sms"], 2)])
    rows = await db.run("SELECT step, old, new FROM delivery_event")
    assert [tuple(row) for row in rows] == [("accept", None, "queued")] * 4


async def test_with_postgresql_away_nothing_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        db = Database(f"postgresql://nobody@127.0.0.1:{taken.getsockname()[1]}/none", vault=vault())
        with pytest.raises(LedgerUnavailable):
            await intake(db).accept([submission(), submission(key="k")])
        await db.close()

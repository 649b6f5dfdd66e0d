"""What a reader is told of a notification: its own, complete, and nobody else's."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from seeding import accept, batch_of, claim_due, failed, sent, submission

from domain.channels import EMAIL, SMS
from domain.ids import DeliveryId
from ledger.database import Database
from ledger.notifications import Asked, Standing, status, statuses


async def look(db: Database, one: object, **options: object) -> Standing:
    wanted = {"limit": 100, "after": None, "events": False} | options
    found = await status(db, "acme", one.id, **wanted)
    assert found is not None
    return found


async def test_a_new_notification_is_enqueued(db: Database) -> None:
    one = submission(channels=("email", "sms"), recipients=("ann", "bob"))
    flush = await accept(db, one)
    found = await look(db, one)
    assert found.overview.status == "ENQUEUED"
    assert found.overview.channel_statuses == {"email": "QUEUED", "sms": "QUEUED"}
    assert found.overview.counts == {"QUEUED": 4}
    assert found.overview.metadata == {"order": 7}
    assert found.workflow_ids == (f"batch/{batch_of(flush)}",)
    assert [(d.recipient, d.channel, d.provider) for d in found.deliveries] == [
        ("ann", "email", "sendgrid"),
        ("bob", "email", "sendgrid"),
        ("ann", "sms", "twilio"),
        ("bob", "sms", "twilio"),
    ]


async def test_neighbours_in_the_same_batch_are_not_shown(db: Database) -> None:
    first, second = submission(recipients=("ann",)), submission(recipients=("bob", "cid"), tenant="other")
    await accept(db, first, second)
    assert [d.recipient for d in (await look(db, first)).deliveries] == ["ann"]
    assert await status(db, "acme", second.id, limit=100, after=None, events=False) is None


async def test_an_unknown_one_is_none(db: Database) -> None:
    assert await status(db, "acme", uuid4(), limit=100, after=None, events=False) is None


async def test_a_future_one_is_scheduled(db: Database) -> None:
    one = submission(send_at=datetime.now(UTC) + timedelta(hours=1))
    await accept(db, one)
    assert (await look(db, one)).overview.status == "SCHEDULED"


async def test_channels_end_each_in_its_own_way(db: Database) -> None:
    one = submission(channels=("email", "sms"))
    batch = batch_of(await accept(db, one))
    await sent(db, batch, EMAIL)
    await failed(db, batch, SMS)
    found = await look(db, one)
    assert found.overview.channel_statuses == {"email": "SENT", "sms": "FAILED"}
    assert found.overview.status == "PROCESSING"
    assert found.deliveries[1].reason == "bad address"
    assert found.deliveries[1].attempts == 1


async def test_events_tell_the_history_in_order(db: Database) -> None:
    one = submission()
    batch = batch_of(await accept(db, one))
    await sent(db, batch, EMAIL)
    (delivery,) = (await look(db, one, events=True)).deliveries
    assert [(e.step, e.old, e.new) for e in delivery.events] == [
        ("accept", None, "QUEUED"),
        ("claim", "QUEUED", "SENDING"),
        ("record", "SENDING", "SENT"),
    ]
    assert delivery.events[-1].message_id == f"vendor-{batch}"
    assert (await look(db, one)).deliveries[0].events is None


async def test_pages_join_to_all_deliveries_of_several_batches_and_counts_are_over_all(db: Database) -> None:
    one = submission(channels=("email", "sms", "push"), recipients=[f"r{n}" for n in range(200)])
    flush = await accept(db, one)
    assert len(flush.batches) == 2
    await claim_due(db, batch_of(flush), EMAIL)
    seen: list[DeliveryId] = []
    after = None
    while True:
        page = await look(db, one, limit=77, after=after)
        assert sum(page.overview.counts.values()) == 600
        assert page.overview.counts["SENDING"] == 200
        seen += [d.id for d in page.deliveries]
        after = page.following
        if after is None:
            break
    assert seen == sorted(set(seen)) and len(seen) == 600


async def test_a_page_past_the_end_is_empty_but_counts(db: Database) -> None:
    one = submission()
    batch = batch_of(await accept(db, one))
    page = await look(db, one, after=DeliveryId(batch, 0))
    assert page.deliveries == () and page.following is None and page.overview.counts == {"QUEUED": 1}


async def test_many_are_told_at_once_each_what_it_asked_for(db: Database) -> None:
    one, two = submission(recipients=("ann", "bob", "cid")), submission(channels=("sms",), metadata={"order": 8})
    theirs = submission(tenant="other")
    flush = await accept(db, one, theirs, two)
    first = DeliveryId(batch_of(flush), 0)
    asked = [
        Asked(two.id),
        Asked(uuid4()),
        Asked(one.id, after=first),
        Asked(theirs.id, events=True),
        Asked(one.id, events=True),
        Asked(two.id),
    ]
    found = [each and each.standing() for each in await statuses(db, "acme", asked, limit=2)]
    alone = [await status(db, "acme", each.id, limit=2, after=each.after, events=each.events) for each in asked]
    assert found == alone
    assert [each and [d.recipient for d in each.deliveries] for each in found] == [
        ["ann"],
        None,
        ["bob", "cid"],
        None,
        ["ann", "bob"],
        ["ann"],
    ]
    assert [each and each.overview.metadata for each in found] == [
        {"order": 8},
        None,
        {"order": 7},
        None,
        {"order": 7},
        {"order": 8},
    ]
    assert found[4].following and not found[2].following
    assert all(d.events for d in found[4].deliveries) and not any(d.events for d in found[2].deliveries)

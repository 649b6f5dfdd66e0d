"""Lists: newest first, complete over their pages, and only the caller's."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import pytest_asyncio
from seeding import accept, batch_of, failed, sent, submission

from domain.channels import EMAIL
from domain.priorities import Priority
from domain.receipts import Receipt, Report
from domain.settling import Rules
from domain.submissions import Submission
from ledger import listing as module
from ledger.database import Database
from ledger.listing import Filters, listing
from ledger.receipts import hear
from ledger.settling import settle


@pytest_asyncio.fixture
async def five(db: Database) -> AsyncIterator[list[Submission]]:
    """Ended well, failed, waiting, scheduled, and another channel at high priority; and one of another tenant."""
    later = datetime.now(UTC) + timedelta(hours=1)
    each = [
        submission(recipients=("ann",)),
        submission(recipients=("bob",)),
        submission(recipients=("ann", "bob")),
        submission(send_at=later),
        submission(channels=("sms",), priority=Priority.HIGH),
    ]
    flushes = [await accept(db, one) for one in each]
    await accept(db, submission(tenant="other"))
    batch = batch_of(flushes[0])
    await sent(db, batch, EMAIL)
    receipt = Receipt("sendgrid", "e1", Report.DELIVERED, datetime.now(UTC), message_id=f"vendor-{batch}")
    assert (await hear(db, [receipt])).moved == 1
    await settle(db, batch, Rules.clear(EMAIL))
    await failed(db, batch_of(flushes[1]), EMAIL)
    yield each


async def found(db: Database, limit: int = 2, **filters: object) -> list[UUID]:
    """All pages joined; every page but the last leads on."""
    ids: list[UUID] = []
    after = None
    for _ in range(50):
        page = await listing(db, "acme", Filters(**filters), limit, after)
        assert len(page.found) <= limit
        ids += [one.id for one in page.found]
        after = page.following
        if after is None:
            return ids
    raise AssertionError("no end")


FOUND: list[tuple[dict[str, str], list[int]]] = [
    ({}, [4, 3, 2, 1, 0]),
    ({"status": "COMPLETED"}, [0]),
    ({"status": "FAILED"}, [1]),
    ({"status": "SCHEDULED"}, [3]),
    ({"status": "ENQUEUED"}, [4, 2]),
    ({"status": "PROCESSING"}, []),
    ({"channel": "sms"}, [4]),
    ({"channel": "email"}, [3, 2, 1, 0]),
    ({"priority": "high"}, [4]),
    ({"recipient": "bob"}, [2, 1]),
    ({"recipient": "ann"}, [4, 3, 2, 0]),
    ({"recipient": "bob", "status": "FAILED"}, [1]),
    ({"recipient": "nobody"}, []),
]


@pytest.mark.parametrize("window", [1, 3, 1000])
async def test_filters(db: Database, five: list[Submission], monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(module, "_WINDOW", window)
    for filters, places in FOUND:
        for limit in (1, 2, 5, 100):
            assert await found(db, limit, **filters) == [five[place].id for place in places], (filters, limit)


async def test_a_page_that_holds_all_does_not_promise_more(db: Database, five: list[Submission]) -> None:
    page = await listing(db, "acme", Filters(), 5, None)
    assert len(page.found) == 5 and page.following is None


async def test_times_are_those_shown(db: Database, five: list[Submission]) -> None:
    newest, *_, oldest = (await listing(db, "acme", Filters(), 100, None)).found
    assert await found(db, since=newest.created_at) == [newest.id]
    assert oldest.id in await found(db, until=newest.created_at)
    assert newest.id not in await found(db, until=newest.created_at)


async def test_an_item_shows_its_standing(db: Database, five: list[Submission]) -> None:
    first = (await listing(db, "acme", Filters(status="COMPLETED"), 10, None)).found[0]
    assert first.status == "COMPLETED"
    assert first.channel_statuses == {"email": "DELIVERED"}
    assert first.counts == {"DELIVERED": 1}

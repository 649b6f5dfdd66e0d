"""The check of a whole ledger, with what vendors and callers say where they were asked."""

from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from domain.deliveries import Status
from ledger.checking import judging, reading
from ledger.checking.history import History
from ledger.checking.judging import Row, Take
from ledger.checking.outside import Outside
from ledger.checking.reading import Page
from ledger.checking.report import Finding, Invariant, Report
from ledger.database import Database

_NOTHING = History(off_path=["no events"])


async def check(
    db: Database,
    outside: Outside = Outside(),  # noqa: B008 (frozen)
    *,
    at: Callable[[int], None] = lambda batches: None,
) -> Report:
    """Look at everything, and hold it against what others say. `at` is told how many batches are done."""
    report, done = Report(), 0
    async for page in reading.pages(db):
        _judge_page(report, page, outside)
        done += len(page.batches)
        at(done)
    async for notification, standing in reading.notifications(db):
        report.note(notification, judging.of_notification(standing))
    for delivery in await reading.lost_letters(db):
        report.note(delivery, [(Invariant.LETTERS, "its delivery is not there")])
    await _judge_strangers(report, db, outside)
    return report


async def _judge_strangers(report: Report, db: Database, outside: Outside) -> None:
    """Ids that others name and the ledger does not know."""
    for ids in outside.accepted:
        missing = set(await reading.unknown(db, "notification", ids))
        for one in ids:
            report.note(one, [(Invariant.ACCEPTED, "the ledger does not have it" if one in missing else None)])
    if outside.takes is None:
        return
    report.taken = len(outside.takes)
    for batches in outside.takes.batches():
        for batch in await reading.unknown(db, "batch", batches):
            report.note(batch, [(Invariant.CLAIMED, "taken, and the ledger does not have its batch")])


def _judge_page(report: Report, page: Page, outside: Outside) -> None:
    taken = outside.takes.of(page.batches) if outside.takes is not None else None
    for row in page.rows.values():
        history = page.histories.get(row.id, _NOTHING)
        report.ended[row.status.value] += 1
        report.note(row.id, judging.of_delivery(row, history))
        if row.id in outside.cancelled:
            kept = row.status is Status.CANCELLED
            report.note(row.id, [(Invariant.CANCELLED, None if kept else f"it is {row.status}")])
        if taken is not None:
            mine = taken.pop(row.id, [])
            _count(report, row, mine)
            report.note(row.id, judging.of_takes(row, history, mine))
    for delivery in page.histories.keys() - page.rows.keys():
        report.note(delivery, [(Invariant.COMPLETE, "it has events, and no row")])
    for delivery in taken or ():
        report.note(delivery, [(Invariant.CLAIMED, "taken, and the ledger does not have it")])
    _judge_batches(report, page)
    dead = {row.id for row in page.rows.values() if row.status is Status.DEAD}
    for delivery, finding in judging.of_letters(dead, page.letters):
        report.note(delivery, [finding])


def _judge_batches(report: Report, page: Page) -> None:
    by_channel: dict[tuple[UUID, str], list[Row]] = {}
    sizes = dict.fromkeys(page.batches, 0)
    for row in page.rows.values():
        by_channel.setdefault((row.id.batch, row.channel), []).append(row)
        sizes[row.id.batch] += 1
    for batch, size in page.sizes.items():
        why = None if sizes[batch] == size else f"it has {sizes[batch]} deliveries, should have {size}"
        report.note(batch, [(Invariant.COMPLETE, why)])
    for place in by_channel.keys() | page.channels.keys():
        report.note(f"{place[0]} {place[1]}", _of_channel(page, place, by_channel.get(place, [])))


def _of_channel(page: Page, place: tuple[UUID, str], rows: Sequence[Row]) -> Iterator[Finding]:
    channel = page.channels.get(place)
    if channel is None:
        yield Invariant.OPEN, "nobody looks after its deliveries"
    else:
        yield from judging.of_channel(channel, rows)


def _count(report: Report, row: Row, takes: Sequence[Take]) -> None:
    report.extra += max(0, len(takes) - 1)
    if not takes:
        report.untaken[row.status.value] += 1

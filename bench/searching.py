"""How fast lists and searches are as the role that serves reads: `python -m bench.searching [NOTIFICATIONS]`.

Fills the empty, migrated database of CLARION_DATABASE_URL with notifications of one tenant that keeps text, asks for
pages of 50 in several ways, and prints p50, p95 and p99 in milliseconds.
"""

import asyncio
import sys
import time
from collections.abc import Mapping
from statistics import quantiles

from domain import search
from domain.channels import EMAIL
from domain.messages import Content
from domain.priorities import Priority
from domain.submissions import Recipient, Submission
from ledger.database import Database
from ledger.intake import Intake
from ledger.keyring import keyring_of
from ledger.listing import Filters, listing
from ledger.roles import LedgerRole
from ledger.vault import Vault
from settings import Settings

TENANT = "searching"
TOGETHER = 500
ASKED = 200  # times each

WAYS: Mapping[str, Filters] = {
    "newest": Filters(),
    "one person's": Filters(recipient="person-17"),
    "channel and status": Filters(channel="email", status="ENQUEUED"),
    "tag of a third": Filters(terms=(search.tag("campaign:1"),)),
    "tag of one in 5,000": Filters(terms=(search.tag("rare"),)),
    "beginning of every tag": Filters(terms=(search.tag_prefix("campaign:"),)),
    "metadata of one": Filters(terms=(search.metadata_prefix("order:A-421"),)),
    "beginning of all metadata": Filters(terms=(search.metadata_prefix("order:A-"),)),
    "word of all": Filters(terms=tuple(search.words("invoice"))),
    "word of one": Filters(terms=tuple(search.words("number4217"))),
    "words and a beginning": Filters(terms=tuple(search.words("invoice part3 numb*"))),
    "frequent words that never meet": Filters(terms=tuple(search.words("part3 part4"))),
    "nothing": Filters(terms=(search.tag("none"),)),
}


def _notification(n: int) -> Submission:
    return Submission(
        tenant=TENANT,
        channels=("email",),
        recipients=(Recipient(f"person-{n % 5000}", {"email": f"person-{n % 5000}@example.com"}, known=True),),
        content=Content(
            text=f"Your invoice number{n} is ready. " + "It has several lines of text. " * 5 + f"part{n % 9}"
        ),
        priority=Priority.NORMAL,
        metadata={"order": f"A-{n}"},
        tags=(f"campaign:{n % 3}", *(("rare",) if n % 5000 == 0 else ())),
    )


async def _fill(url: str, vault: Vault, number: int) -> None:
    db = Database(url, role=LedgerRole.INTAKE, vault=vault, pool_size=1)
    intake = Intake(db, {EMAIL.name: EMAIL}, cap=TOGETHER, keeps_text=lambda tenant: True)
    for start in range(0, number, TOGETHER):
        await intake.accept([_notification(n) for n in range(start, min(start + TOGETHER, number))])
    await db.close()
    owner = Database(url, pool_size=1)
    await owner.run("VACUUM ANALYZE")
    await owner.close()


async def _measured(reader: Database, filters: Filters) -> tuple[list[float], int]:
    """Milliseconds of each page, and how many a page found."""
    times: list[float] = []
    found = 0
    for _ in range(ASKED):
        start = time.perf_counter()
        found = len((await listing(reader, TENANT, filters, 50, None)).found)
        times.append((time.perf_counter() - start) * 1000)
    return times, found


async def main(number: int) -> None:
    """Fill, ask, print a table."""
    settings = Settings.load()
    url, vault = settings.required("database_url"), Vault(keyring_of(settings))
    await _fill(url, vault, number)
    reader = Database(url, role=LedgerRole.API_READ, vault=vault, pool_size=1)
    print(f"| {number:,} notifications, pages of 50 | found | p50 | p95 | p99 |\n| --- | --- | --- | --- | --- |")
    for name, filters in WAYS.items():
        times, found = await _measured(reader.of(TENANT), filters)
        cuts = quantiles(times, n=100)
        print(f"| {name} | {found} | {cuts[49]:.1f} | {cuts[94]:.1f} | {cuts[98]:.1f} |")
    await reader.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000))

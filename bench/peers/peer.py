"""A running peer as a bench sees it: where to send, how far it is, and whether it kept what it promised."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench import processes
from bench.peers import rows
from domain.ids import DeliveryId
from ledger.checking.outside import Takes, accepted_ids
from workers.embedded.part import Part

_LOOKS = 10  # at the vendor's log, until what is not in it counts as lost
_LOOK_EVERY = 0.2  # seconds


@dataclass(frozen=True, slots=True)
class Progress:
    """Deliveries so far, by its PostgreSQL: accepted, sent (its vendor's yes is recorded), receipted."""

    accepted: int
    sent: int
    receipted: int

    @property
    def finished(self) -> bool:
        """All that was accepted has its receipt."""
        return self.accepted == self.sent == self.receipted


@dataclass(frozen=True, slots=True)
class Peer:
    """`api`: its URL. `key`: an API key. `log`: its vendor's. `services`: its parts by name, as a Stack has them."""

    api: str
    key: str
    log: Path
    services: Mapping[str, Part]
    database: asyncpg.Connection

    async def progress(self) -> Progress:
        """How far it is. Reads the whole table: some 10 ms for 100,000 rows."""
        row = await self.database.fetchrow(rows.PROGRESS)
        assert row is not None
        return Progress(*row.values())

    async def check(self, accepted: Path) -> tuple[int, int]:
        """Lost and doubled, by `held_against`. The vendor writes its log a moment after it has answered."""
        for _ in range(_LOOKS):
            lost, doubled = await asyncio.to_thread(held_against, self.log, accepted)
            if not lost:
                break
            await asyncio.sleep(_LOOK_EVERY)
        return lost, doubled

    def pids(self) -> dict[str, tuple[int, ...]]:
        """Every process by its part's name: the part's own and those it started, such as PostgreSQL's backends."""
        trees = processes.trees(processes.pids_of(self.services))
        return {name: tuple(process.pid for process in tree) for name, tree in trees.items()}

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU that each part has used in its present life, with the children it has now or had."""
        return processes.cpu(processes.pids_of(self.services))


def held_against(log: Path, accepted: Path) -> tuple[int, int]:
    """Lost: in a load's file of accepted ids, and not in the vendor's log. Doubled: messages beyond the first.

    Every notification is one of a single recipient, as in `burst`.
    """
    lost = doubled = 0
    with Takes(log) as takes:
        for ids in accepted_ids(accepted):
            wanted = {DeliveryId(each, 0) for each in ids}
            found = takes.of(list({delivery.batch for delivery in wanted}))
            lost += len(wanted - found.keys())
            doubled += sum(len(found[delivery]) - 1 for delivery in wanted & found.keys())
    return lost, doubled

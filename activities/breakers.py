"""What follows from a change of a breaker: the ledger knows of it, and who waited for the provider goes on."""

from dataclasses import asdict

from domain.channels import Channels
from ledger import provider_events
from ledger.database import Database
from ledger.provider_events import BREAKER, Event
from ledger.recovery import recovered
from observe import logs
from throttle.words import Breaker, Change

log = logs.get(__name__)


class Breakers:
    """One per worker process. Of every change exactly one process is told."""

    def __init__(self, db: Database, channels: Channels, redrive: int) -> None:
        """`redrive`: dead letters at the most that a provider takes back when its breaker closes; 0: none."""
        self._db, self._channels, self._redrive = db, channels, redrive

    async def changed(self, change: Change) -> None:
        """Write it down. When it closed, let those who wait for it look again. Raises LedgerUnavailable."""
        log.warning(
            "breaker.changed",
            provider=change.provider,
            before=change.before.value,
            after=change.after.value,
            reason=change.reason,
        )
        await provider_events.write(self._db, Event(kind=BREAKER, **asdict(change)))
        if change.after is Breaker.CLOSED:
            await recovered(self._db, self._channels, change.provider, change.at, self._redrive)

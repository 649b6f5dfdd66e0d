"""What follows from a change of a breaker: the ledger knows of it, and who waited for the provider goes on."""

from collections.abc import Mapping

from ledger import provider_events, sweeping
from ledger.database import Database
from observe import logs
from providers.base import Provider
from throttle.words import Breaker, Change

log = logs.get(__name__)


class Breakers:
    """One per worker process. Of every change exactly one process is told."""

    def __init__(self, db: Database, providers: Mapping[str, Provider]) -> None:
        self._db, self._providers = db, providers

    async def changed(self, change: Change) -> None:
        """Write it down. When it closed, let the runs that wait for it look again. Raises LedgerUnavailable."""
        log.warning(
            "breaker.changed",
            provider=change.provider,
            before=change.before.value,
            after=change.after.value,
            reason=change.reason,
        )
        await provider_events.write(
            self._db,
            provider_events.Event(
                provider=change.provider,
                at=change.at,
                kind=provider_events.BREAKER,
                before=change.before.value,
                after=change.after.value,
                reason=change.reason,
                local=change.local,
            ),
        )
        if change.after is Breaker.CLOSED:
            await sweeping.release(self._db, self._providers[change.provider].card.channel)

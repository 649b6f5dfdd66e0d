"""What follows from a change of a breaker: the ledger knows of it, and who waited for the provider goes on."""

from collections.abc import Mapping

from domain.channels import Channels
from ledger import dead_letters, provider_events, sweeping
from ledger.database import Database
from observe import logs
from providers.base import Provider
from throttle.words import Breaker, Change

log = logs.get(__name__)


class Breakers:
    """One per worker process. Of every change exactly one process is told."""

    def __init__(self, db: Database, channels: Channels, providers: Mapping[str, Provider], redrive: int) -> None:
        """`redrive`: dead letters at the most that a provider takes back when its breaker closes; 0: none."""
        self._db, self._channels, self._providers, self._redrive = db, channels, providers, redrive

    async def changed(self, change: Change) -> None:
        """Write it down. When it closed, let those who wait for it look again. Raises LedgerUnavailable."""
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
            await self._take_back(change)

    async def _take_back(self, change: Change) -> None:
        """Dead letters of the time in which it did not work; the sweep calls their runs."""
        since = await provider_events.broken_since(self._db, change.provider, change.at) if self._redrive else None
        if since is not None:
            done = await dead_letters.redrive(self._db, self._channels, change.provider, since, self._redrive)
            log.info("breaker.redriven", provider=change.provider, letters=done.moved)

"""What follows in the ledger when a provider's breaker closes."""

from datetime import datetime

from domain.channels import Channels
from ledger import dead_letters, provider_events, sweeping
from ledger.database import Database
from observe import logs

log = logs.get(__name__)


async def recovered(db: Database, channels: Channels, provider: str, at: datetime, redrive: int) -> None:
    """Who waits for the provider looks again; it takes back what died while it did not work. Raises LedgerUnavailable.

    `at`: when the breaker closed. `redrive`: dead letters at the most; 0: none. The sweep calls their runs.
    """
    for channel in channels.values():
        if provider in channel.route:
            await sweeping.release(db, channel.name)
    since = await provider_events.broken_since(db, provider, at) if redrive else None
    if since is not None:
        done = await dead_letters.redrive(db, channels, provider, since, redrive)
        log.info("provider.redriven", provider=provider, letters=done.moved)

"""Judges vendors by their receipts: who says yes and does not deliver within its usual time loses its traffic."""

import asyncio
from typing import Never

from activities.sending import Means
from domain.channels import Channel, Channels
from ledger.database import LedgerUnavailable
from ledger.reporting import reported
from observe import logs

log = logs.get(__name__)

_EVERY = 1.0  # seconds


class Watching:
    """One per worker process. What one of them takes out of the watch, no other sees."""

    def __init__(self, means: Means, channels: Channels) -> None:
        self._means = means
        cards = [provider.card for provider in means.providers.values()]
        self._channels = {c.name: channels[c.channel] for c in cards if c.receipts and c.channel in channels}

    async def keep(self) -> Never:
        """Look again and again. Run it as a task."""
        while True:
            await asyncio.sleep(_EVERY)
            for provider, channel in self._channels.items():
                try:
                    await self.judge(provider, channel)
                except LedgerUnavailable as error:
                    log.warning("watching.not_judged", provider=provider, error=type(error).__name__)
                except Exception as error:  # the loop has to outlive whatever it meets
                    log.exception("watching.not_judged", provider=provider, error=type(error).__name__)

    async def judge(self, provider: str, channel: Channel) -> None:
        """Tell the gate what came of the sends that were watched. Raises LedgerUnavailable."""
        judged = await self._means.watch.judge(provider, channel.hush, channel.window)
        if judged is None or not (judged.ages or judged.silent):
            return
        # A report may have come before the news of its send, or while Redis was away: the ledger has it.
        missed = await reported(self._means.db, provider, judged.silent)
        change = await self._means.gate.report_receipts(
            provider, judged.usual, delays=[*judged.ages, *[judged.usual] * missed], silent=len(judged.silent) - missed
        )
        if change is not None:
            self._means.tally.tell(change)

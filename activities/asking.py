"""Asks a vendor what became of sends it gave no answer to, and records those that it knows."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from activities.recorder import Recorder, Route
from domain.channels import Channel
from domain.messages import Sent
from domain.outcomes import accepted
from ledger import doubts
from ledger.database import Database
from ledger.deliveries import Answered, Letter
from ledger.doubts import Doubt
from observe import logs, metrics
from providers.base import Provider

log = logs.get(__name__)

MOST = 64  # sends asked about by one execution
_WITHIN = 8.0  # seconds for all of them: rows that come due meanwhile wait for the end of the execution
_MARGIN = 2.0  # seconds


def quiet(channel: Channel) -> float:
    """Seconds after which the answer to a call has come, or never will."""
    return max(channel.timeout.values()) + _MARGIN


@dataclass(frozen=True, slots=True)
class Asking:
    """Look-ups at one vendor."""

    db: Database
    recorder: Recorder
    provider: Provider
    route: Route

    async def ask(self, unanswered: Sequence[Doubt], letters: Mapping[UUID, Letter]) -> None:
        """A send that is found was accepted. Not found proves nothing: the doubt stays. Raises LedgerUnavailable."""
        waited = quiet(self.route.channel)
        ripe = [each for each in unanswered if each.alone and each.age >= waited and not _closed(each, letters)]
        if not ripe:
            return
        answers = await self._look_up([_sent(doubt, letters[doubt.claim.notification], waited) for doubt in ripe])
        candidates = {doubt.claim.key: ids for doubt, ids in zip(ripe, answers, strict=True) if ids is not None}
        found = await doubts.identify(self.db, self.route.provider, candidates)
        self._count(len(ripe), len(candidates), len(found))
        mine = [doubt.claim for doubt in ripe if doubt.claim.key in found]
        if mine:
            final = not self.provider.card.receipts
            await self.recorder.record(
                self.route, [Answered(claim, accepted(found[claim.key], "looked up"), final) for claim in mine]
            )

    async def _look_up(self, sends: Sequence[Sent]) -> Sequence[Sequence[str] | None]:
        try:
            async with asyncio.timeout(_WITHIN + _MARGIN):
                return await self.provider.look_up(sends, _WITHIN)
        except Exception as error:  # a provider must not raise
            log.exception("provider.raised", provider=self.route.provider, error=type(error).__name__)
            return [None] * len(sends)

    def _count(self, asked: int, answered: int, found: int) -> None:
        results = {"found": found, "not_found": answered - found, "failed": asked - answered}
        for result, n in results.items():
            metrics.count(metrics.LOOKUPS, self.route.provider, result, n=n)


def _closed(doubt: Doubt, letters: Mapping[UUID, Letter]) -> bool:
    """Its key is missing here, so nobody can say which message it was."""
    return bool(doubt.claim.closed or letters[doubt.claim.notification].closed)


def _sent(doubt: Doubt, letter: Letter, waited: float) -> Sent:
    claim = doubt.claim
    return Sent(claim.key, claim.address, letter.content, letter.sender, doubt.age, waited)

"""One execution of `deliver`: claim what is due, call the vendor, record, until nothing is due or in flight."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from uuid import UUID

from activities.recorder import Recorder, Route
from domain.deliveries import Status
from domain.messages import Message
from domain.outcomes import Answer, Outcome, in_doubt
from ledger import deliveries
from ledger.database import Database
from ledger.deliveries import Answered, Claim, Leg, Letter
from observe import logs, metrics, traces
from providers.base import Provider

log = logs.get(__name__)

_LOOK_AGAIN = 1.0  # seconds: while calls are in flight, rows may come due (the shortest backoff is one second)


@dataclass(frozen=True, slots=True)
class Means:
    """What sending needs of its process."""

    db: Database
    recorder: Recorder
    callback: str  # base URL for vendors' reports


class Sending:
    """The state of one execution."""

    def __init__(self, means: Means, leg: Leg, provider: Provider, stopping: Callable[[], bool]) -> None:
        """`stopping` says that the worker shuts down: what is claimed is finished, nothing new is claimed."""
        self._means, self._leg, self._provider, self._stopping = means, leg, provider, stopping
        self._calls: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._letters: dict[UUID, Letter] = {}
        card = provider.card
        self._window = card.concurrency * card.batch_size if card.batch_size == 1 else card.batch_size * 4
        self._route = Route(leg.channel, leg.provider, leg.priority, card.receipts and not card.echoes_key)

    async def run(self) -> None:
        """Send all that is due. Raises LedgerUnavailable, and what else is our own fault."""
        left = await deliveries.abandon(self._means.db, self._leg)
        if left:
            log.warning("deliver.abandoned", batch=str(self._leg.batch), provider=self._leg.provider, deliveries=left)
        if self._provider.card.idempotent_for:
            await self._begin(await deliveries.resume(self._means.db, self._leg, self._provider.card.idempotent_for))
        try:
            await self._until_nothing_is_due()
        finally:
            for call in self._calls:
                call.cancel()

    async def _until_nothing_is_due(self) -> None:
        loop = asyncio.get_running_loop()
        claim_at = loop.time()
        while True:
            room = self._window - self._in_flight
            if loop.time() >= claim_at and room > 0 and not self._stopping():
                claims = await deliveries.claim(self._means.db, self._leg, room)
                await self._begin(claims)
                if len(claims) < room:
                    claim_at = loop.time() + _LOOK_AGAIN
            if not self._calls:
                return
            enough = self._window // 2 if claim_at <= loop.time() else 0
            await self._wait(until_in_flight=enough, timeout=_LOOK_AGAIN)

    async def _wait(self, until_in_flight: int, timeout: float) -> None:
        """Wait for calls to end; a fault of our own in one of them ends the execution."""
        end = asyncio.get_running_loop().time() + timeout
        while self._calls and self._in_flight > until_in_flight:
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return
            done, _ = await asyncio.wait(self._calls, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for call in done:
                self._calls.discard(call)
                call.result()

    async def _begin(self, claims: Sequence[Claim]) -> None:
        if not claims:
            return
        metrics.count(metrics.CLAIMS, self._leg.channel.name, self._leg.provider, n=len(claims))
        unknown = {claim.notification for claim in claims} - self._letters.keys()
        if unknown:
            self._letters |= await deliveries.letters(self._means.db, list(unknown))
        self._in_flight += len(claims)
        for call in self._grouped(claims):
            self._calls.add(asyncio.create_task(self._call(call)))

    def _grouped(self, claims: Sequence[Claim]) -> Iterable[Sequence[Claim]]:
        """One claim a call; for a vendor that takes many, all of one notification together."""
        most = self._provider.card.batch_size
        for _, same in groupby(claims, key=lambda claim: claim.notification):
            alike = list(same)
            for start in range(0, len(alike), most):
                yield alike[start : start + most]

    async def _call(self, claims: Sequence[Claim]) -> None:
        """One vendor call, and its record."""
        letter = self._letters[claims[0].notification]
        timeout = self._leg.channel.timeout[self._leg.priority]
        started = time.perf_counter()
        with traces.start("vendor call", letter.traceparent, links=(), provider=self._leg.provider) as span:
            traceparent = span.traceparent or letter.traceparent
            headers = {"traceparent": traceparent} if traceparent else {}
            try:
                answers = await self._provider.send([self._message(c, letter, headers) for c in claims], timeout)
            except Exception as error:
                # A provider must not raise. It did: whether the vendor took the message, nobody knows.
                log.exception("provider.raised", provider=self._leg.provider, error=type(error).__name__)
                answers = [in_doubt(f"provider raised {type(error).__name__}")] * len(claims)
        seconds = time.perf_counter() - started
        final = not self._provider.card.receipts
        answered = [Answered(claim, answer, final) for claim, answer in zip(claims, answers, strict=True)]
        recorded = await self._means.recorder.record(self._route, answered)
        self._in_flight -= len(claims)
        self._count(answers, seconds, letter, [row.status for row in recorded])

    def _message(self, claim: Claim, letter: Letter, headers: dict[str, str]) -> Message:
        return Message(
            claim.key,
            claim.address,
            letter.content,
            letter.sender,
            self._leg.priority,
            self._means.callback,
            headers,
        )

    def _count(self, answers: Sequence[Answer], seconds: float, letter: Letter, became: Sequence[Status]) -> None:
        leg = self._leg
        for outcome in Outcome:
            n = sum(answer.outcome is outcome for answer in answers)
            metrics.count(metrics.SENDS, leg.channel.name, leg.provider, outcome.value, n=n)
        metrics.observe(metrics.VENDOR_CALL, leg.provider, answers[0].outcome.value, seconds=seconds)
        waited = (datetime.now(UTC) - letter.accepted_at).total_seconds()
        for _ in range(sum(status in (Status.SENT, Status.SENT_FINAL) for status in became)):
            metrics.observe(metrics.ACCEPT_TO_SENT, leg.channel.name, leg.priority.value, seconds=max(0.0, waited))

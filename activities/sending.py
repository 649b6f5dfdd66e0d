"""One execution of `deliver`: claim what is due, call the vendor, record, until nothing is due or in flight."""

import asyncio
import contextlib
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
        self._in_flight = 0  # rows claimed and not yet recorded
        self._low = 0  # wake up when no more than this are in flight
        self._progress = asyncio.Event()
        self._letters: dict[UUID, Letter] = {}
        card = provider.card
        self._window = card.concurrency
        self._route = Route(leg.channel, leg.provider, leg.priority, card.receipts and not card.echoes_key)

    async def run(self) -> None:
        """Send all that is due. Raises, as a group, LedgerUnavailable and what else is our own fault."""
        left = await deliveries.abandon(self._means.db, self._leg)
        if left:
            log.warning("deliver.abandoned", batch=str(self._leg.batch), provider=self._leg.provider, deliveries=left)
        async with asyncio.TaskGroup() as calls:
            memory = self._provider.card.idempotent_for
            if memory:
                await self._begin(await deliveries.resume(self._means.db, self._leg, memory), calls)
            await self._until_nothing_is_due(calls)

    async def _until_nothing_is_due(self, calls: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        claim_at = loop.time()
        while True:
            claiming = loop.time() >= claim_at and not self._stopping()
            if claiming and self._in_flight <= self._window // 2:
                room = self._window - self._in_flight
                claims = await deliveries.claim(self._means.db, self._leg, room)
                await self._begin(claims, calls)
                if len(claims) < room:
                    claim_at, claiming = loop.time() + _LOOK_AGAIN, False
            if not self._in_flight:
                return
            await self._until_in_flight(self._window // 2 if claiming else 0)

    async def _until_in_flight(self, low: int) -> None:
        """Wait until no more than `low` rows are in flight, but no longer than rows may come due."""
        self._low = low
        self._progress.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_AGAIN):
                await self._progress.wait()

    def _ended(self, rows: int) -> None:
        self._in_flight -= rows
        if self._in_flight <= self._low:
            self._progress.set()

    async def _begin(self, claims: Sequence[Claim], calls: asyncio.TaskGroup) -> None:
        if not claims:
            return
        metrics.count(metrics.CLAIMS, self._leg.channel.name, self._leg.provider, n=len(claims))
        metrics.count(metrics.POSSIBLE_DUPLICATES, self._leg.channel.name, n=sum(claim.again for claim in claims))
        notifications = {claim.notification for claim in claims}
        unknown = notifications - self._letters.keys()
        if unknown:
            self._letters |= await deliveries.letters(self._means.db, list(unknown))
        if len(notifications) == 1 and len(claims) == self._window:
            # One notification to many: from here on, as many as the vendor takes in one call.
            self._window = max(self._window, self._provider.card.batch_size)
        self._in_flight += len(claims)
        for call in self._grouped(claims):
            calls.create_task(self._call(call))

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
        self._ended(len(claims))
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

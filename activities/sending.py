"""One execution of `deliver`: claim what is due and may go, call the vendor, record, until nothing is left to do."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from uuid import UUID

from activities import asking
from activities.asking import Asking, quiet
from activities.places import CHUNK, Places
from activities.recorder import Recorder, Route
from domain.deliveries import Status
from domain.messages import Message
from domain.outcomes import Answer, Outcome, in_doubt, released
from domain.priorities import Priority
from domain.runs import HOLD_MOST, SHARED
from ledger import deliveries, doubts
from ledger.database import Database
from ledger.deliveries import Answered, Claim, Leg, Letter
from observe import logs, metrics, traces
from providers.base import Provider
from providers.http import CONNECTIONS
from throttle.gate import Gate
from throttle.standing import Standing
from throttle.tally import Tally
from throttle.watch import Watch
from throttle.words import Admission

log = logs.get(__name__)

_LOOK_AGAIN = 1.0  # seconds: while calls are in flight, rows may come due (the shortest backoff is one second)
_LOCKED = 60.0  # seconds until what is sealed with a key that is missing here is looked at again
_STAY = 5.0  # seconds an execution waits for the vendor's pace; for more the run sets a timer


@dataclass(frozen=True, slots=True)
class Means:
    """What sending needs of its process."""

    db: Database
    recorder: Recorder
    providers: Mapping[str, Provider]
    gate: Gate
    tally: Tally
    standing: Standing
    watch: Watch
    callback: str  # base URL for vendors' reports
    places: Places = field(default_factory=Places)


@dataclass(frozen=True, slots=True)
class Outlet:
    """The way to one vendor. `probe`: its breaker is not closed, and this is the one message it is tried with."""

    leg: Leg
    provider: Provider
    probe: bool = False

    @property
    def route(self) -> Route:
        """What its answers have in common."""
        card = self.provider.card
        by_id = card.receipts and not card.echoes_key
        return Route(self.leg.channel, self.leg.provider, self.leg.priority, by_id, by_id or card.lookup)


class Sending:
    """The state of one execution."""

    def __init__(
        self, means: Means, leg: Leg, provider: Provider, stopping: Callable[[], bool], owner: str = SHARED
    ) -> None:
        """`stopping` says that the worker shuts down: what is claimed is finished, nothing new is claimed.

        `owner`: whose messages these are, where tenants take turns.
        """
        self._means, self._leg, self._stopping, self._owner = means, leg, stopping, owner
        self._outlet = Outlet(leg, provider)
        self._in_flight = 0  # rows claimed and not yet recorded
        self._low = 0  # wake up when no more than this are in flight
        self._progress = asyncio.Event()
        self._letters: dict[UUID, Letter] = {}
        self._window = provider.card.concurrency
        self._most = CONNECTIONS if leg.priority is Priority.HIGH else CONNECTIONS * 3 // 4  # calls in flight
        self._due = 0  # rows that could be claimed, as far as is known
        self._look_at = 0.0  # when to look for more of them, by the loop's clock
        self._held: float | None = None

    async def run(self) -> float | None:
        """Send all that is due and may go. Raises, as a group, LedgerUnavailable and what else is our own fault.

        Returns None when nothing is left to send, or the seconds until asking again makes sense for what was held back.
        """
        found = await deliveries.abandon(self._means.db, self._leg)
        self._due = found.due
        if found.abandoned:
            ids = {"batch": str(self._leg.batch), "provider": self._leg.provider}
            log.warning("deliver.abandoned", **ids, deliveries=found.abandoned)
        try:
            async with asyncio.TaskGroup() as calls:
                await self._probe_others(calls)
                if found.doubtful:
                    await self._end_doubts(calls)
                await self._until_nothing_is_due(calls)
        finally:
            self._means.places.leave(self._leg.provider, self._called)
        return self._held

    async def _probe_others(self, calls: asyncio.TaskGroup) -> None:
        """Vendors whose breaker is not closed get single messages of ours as probes: never one of high priority."""
        if self._leg.priority is Priority.HIGH or not self._due:
            return
        for name in self._means.standing.to_probe(self._leg.channel, self._leg.provider):
            admission = await self._means.gate.admit(name, 1, self._leg.priority)
            if admission.granted:
                await self._probe(name, admission, calls)

    async def _probe(self, name: str, admission: Admission, calls: asyncio.TaskGroup) -> None:
        outlet = Outlet(replace(self._leg, provider=name), self._means.providers[name], admission.probe)
        diverted = await deliveries.divert(self._means.db, self._leg, name)
        claims = await deliveries.claim(self._means.db, outlet.leg, 1) if diverted else []
        self._due -= len(claims)
        if not claims:
            self._means.tally.release(name, admission.granted, admission.probe)
        await self._begin(outlet, claims, calls)

    async def _end_doubts(self, calls: asyncio.TaskGroup) -> None:
        """Repeat doubtful sends under their old keys, or ask about them, where the vendor allows either."""
        card = self._outlet.provider.card
        held = self._means.standing.roads(self._leg.channel, self._leg.priority).held
        if self._leg.provider in held or not (card.idempotent_for or card.lookup):
            return  # settle says when, or that time is up
        if card.idempotent_for:
            await self._repeat(card.idempotent_for, calls)
        waited = quiet(self._leg.channel) if card.lookup else 0.0
        rest = await doubts.put_off(self._means.db, self._leg, waited, asking.MOST)
        if card.lookup:
            await self._read({doubt.claim.notification for doubt in rest})
            ask = Asking(self._means.db, self._means.recorder, self._outlet.provider, self._outlet.route)
            calls.create_task(ask.ask(rest, self._letters))

    async def _repeat(self, memory: float, calls: asyncio.TaskGroup) -> None:
        admission = await self._means.gate.admit(self._leg.provider, self._window, self._leg.priority)
        if admission.granted:
            claims = await deliveries.resume(self._means.db, self._leg, memory, admission.granted)
            missing = admission.granted - len(claims)
            if missing:
                self._means.tally.release(self._leg.provider, missing, admission.probe)
            await self._begin(replace(self._outlet, probe=admission.probe), claims, calls)

    async def _until_nothing_is_due(self, calls: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            half = self._window // 2
            if self._goes_on() and self._in_flight <= half and loop.time() >= self._look_at:
                await self._claim(calls)
            more = self._due > 0 and self._goes_on()
            if not self._in_flight and not more:
                return
            wait = self._look_at - loop.time()
            await self._until_in_flight(half if more else 0, wait if wait > 0 else _LOOK_AGAIN)

    def _goes_on(self) -> bool:
        return self._held is None and not self._stopping()

    async def _claim(self, calls: asyncio.TaskGroup) -> None:
        """Claim as many as are due, as fit, and as the provider's gate lets through."""
        now = asyncio.get_running_loop().time()
        if not self._due:
            self._due = await deliveries.due(self._means.db, self._leg)
        room = self._room()
        if room < min(self._due, CHUNK):
            room = 0  # a claim for each place that becomes free would be a query a message
        wanted = min(self._due, self._window - self._in_flight, room)
        if not room:
            self._held = self._means.standing.roads(self._leg.channel, self._leg.priority).held.get(self._leg.provider)
        if not wanted:
            self._look_at = now + _LOOK_AGAIN
            if not room:  # what is claimed and cannot be called yet only runs into its time-out
                self._means.places.wait(self._leg.provider, self._owner, self._leg.priority, self._most, self._called)
            return
        # From here on, or several executions that look at the same room would all take it.
        with self._means.places.taken(self._leg.provider, self._owner, self._leg.priority, self._calls_for(wanted)):
            admission = await self._means.gate.admit(self._leg.provider, wanted, self._leg.priority)
            if admission.granted:
                await self._claim_granted(admission, calls)
        if admission.granted < wanted:
            self._hold(admission, now)
        elif not self._due:
            self._look_at = now + _LOOK_AGAIN

    def _room(self) -> int:
        """Rows that may be claimed until this process has as many calls in flight as the vendor's connections."""
        calls = self._means.places.room(self._leg.provider, self._owner, self._leg.priority, self._most)
        return calls * self._outlet.provider.card.batch_size

    def _calls_for(self, rows: int) -> int:
        return -(-rows // self._outlet.provider.card.batch_size)

    def _called(self) -> None:
        """There is room again, and it is our turn."""
        self._look_at = 0.0
        self._progress.set()

    async def _claim_granted(self, admission: Admission, calls: asyncio.TaskGroup) -> None:
        claims = await deliveries.claim(self._means.db, self._leg, admission.granted)
        missing = admission.granted - len(claims)
        if missing:  # another execution was there first
            self._means.tally.release(self._leg.provider, missing, admission.probe)
        self._due = 0 if missing else self._due - len(claims)
        await self._begin(replace(self._outlet, probe=admission.probe), claims, calls)

    def _hold(self, admission: Admission, now: float) -> None:
        """Not all may go now: wait for the vendor's pace here, for anything else in the run."""
        wait = HOLD_MOST if admission.wait is None else admission.wait
        if admission.paced and wait <= _STAY:
            self._look_at = now + wait
        else:
            self._held = wait

    async def _until_in_flight(self, low: int, seconds: float) -> None:
        """Wait until no more than `low` rows are in flight, but no longer than rows may come due."""
        self._low = low
        self._progress.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, _LOOK_AGAIN)):
                await self._progress.wait()

    def _ended(self, rows: int) -> None:
        self._in_flight -= rows
        if self._in_flight <= self._low:
            self._progress.set()

    async def _begin(self, outlet: Outlet, claims: Sequence[Claim], calls: asyncio.TaskGroup) -> None:
        if not claims:
            return
        leg = outlet.leg
        metrics.count(metrics.CLAIMS, leg.channel.name, leg.provider, n=len(claims))
        metrics.count(metrics.POSSIBLE_DUPLICATES, leg.channel.name, n=sum(claim.again for claim in claims))
        notifications = {claim.notification for claim in claims}
        await self._read(notifications)
        if len(notifications) == 1 and len(claims) == self._window:
            # One notification to many: from here on, as many as the vendor takes in one call.
            self._window = max(self._window, outlet.provider.card.batch_size)
        self._in_flight += len(claims)
        claims = await self._readable(outlet, claims)
        for call in _grouped(claims, outlet.provider.card.batch_size):
            calls.create_task(self._call(outlet, call))

    async def _read(self, notifications: AbstractSet[UUID]) -> None:
        unknown = notifications - self._letters.keys()
        if unknown:
            self._letters |= await deliveries.letters(self._means.db, list(unknown))

    async def _call(self, outlet: Outlet, claims: Sequence[Claim]) -> None:
        """One vendor call, and its record."""
        claims = await self._in_time(outlet, claims)
        if not claims:
            return
        with self._means.places.taken(outlet.leg.provider, self._owner, outlet.leg.priority):
            await self._send(outlet, claims)

    async def _send(self, outlet: Outlet, claims: Sequence[Claim]) -> None:
        letter = self._letters[claims[0].notification]
        leg = outlet.leg
        started = time.perf_counter()
        with traces.start("vendor call", letter.traceparent, links=(), provider=leg.provider) as span:
            traceparent = span.traceparent or letter.traceparent
            headers = {"traceparent": traceparent} if traceparent else {}
            answers = await self._answers(outlet, [self._message(c, letter, headers) for c in claims])
        seconds = time.perf_counter() - started
        final = not outlet.provider.card.receipts
        if not final:
            # Before the record: a receipt may be faster than that.
            taken = [c.key.delivery for c, a in zip(claims, answers, strict=True) if a.outcome is Outcome.ACCEPTED]
            self._means.watch.sent(leg.provider, taken, probe=outlet.probe)
        answered = [Answered(claim, answer, final) for claim, answer in zip(claims, answers, strict=True)]
        recorded = await self._means.recorder.record(outlet.route, answered)
        self._ended(len(claims))
        _count(leg, answers, seconds, letter, [row.status for row in recorded])

    async def _in_time(self, outlet: Outlet, claims: Sequence[Claim]) -> Sequence[Claim]:
        """The claims without those that expired since: a process may stand still between the claim and the call."""
        now = time.monotonic()
        late = [claim for claim in claims if claim.leave_by is not None and claim.leave_by <= now]
        if not late:
            return claims
        await self._give_back(outlet, late, released("expired"))
        return [claim for claim in claims if claim not in late]

    async def _readable(self, outlet: Outlet, claims: Sequence[Claim]) -> Sequence[Claim]:
        """The claims without those whose address or content cannot be opened: they wait until their key is there."""
        closed = {claim: why for claim in claims if (why := claim.closed or self._letters[claim.notification].closed)}
        if not closed:
            return claims
        log.error(
            "deliver.sealed", provider=outlet.leg.provider, deliveries=len(closed), why=next(iter(closed.values()))
        )
        await self._give_back(outlet, list(closed), released("cannot be opened", _LOCKED))
        return [claim for claim in claims if claim not in closed]

    async def _give_back(self, outlet: Outlet, claims: Sequence[Claim], answer: Answer) -> None:
        """They are claimed and will not be called."""
        self._means.tally.release(outlet.leg.provider, len(claims), outlet.probe)
        await self._means.recorder.record(outlet.route, [Answered(claim, answer, final=False) for claim in claims])
        self._ended(len(claims))

    async def _answers(self, outlet: Outlet, messages: Sequence[Message]) -> Sequence[Answer]:
        """What the vendor says; the gate hears of it, also while the call still hangs."""
        leg = outlet.leg
        call = self._means.tally.begin(leg.provider, outlet.probe)
        try:
            answers = await outlet.provider.send(messages, leg.channel.timeout[leg.priority])
        except Exception as error:
            # A provider must not raise. It did: whether the vendor took the message, nobody knows.
            log.exception("provider.raised", provider=leg.provider, error=type(error).__name__)
            answers = [in_doubt(f"provider raised {type(error).__name__}")] * len(messages)
        except BaseException:
            self._means.tally.drop(call)
            raise
        self._means.tally.end(call, answers)
        return answers

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


def _grouped(claims: Sequence[Claim], most: int) -> Iterable[Sequence[Claim]]:
    """One claim a call; for a vendor that takes many, all of one notification together."""
    for _, same in groupby(claims, key=lambda claim: claim.notification):
        alike = list(same)
        for start in range(0, len(alike), most):
            yield alike[start : start + most]


def _count(leg: Leg, answers: Sequence[Answer], seconds: float, letter: Letter, became: Sequence[Status]) -> None:
    for outcome, n in Counter(answer.outcome for answer in answers).items():
        metrics.count(metrics.SENDS, leg.channel.name, leg.provider, outcome.value, n=n)
    metrics.observe(metrics.VENDOR_CALL, leg.provider, answers[0].outcome.value, seconds=seconds)
    waited = (datetime.now(UTC) - letter.accepted_at).total_seconds()
    for _ in range(sum(status in (Status.SENT, Status.SENT_FINAL) for status in became)):
        metrics.observe(metrics.ACCEPT_TO_SENT, leg.channel.name, leg.priority.value, seconds=max(0.0, waited))

"""A random walk over all steps of the protocol, in PostgreSQL and in a small model of it: they always agree."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_side import all_is_true, books, let_pass, submission
from protocol_rows import BY_ID, CHANNELS, ENDS, FINAL, MEMORY, WAITS, Row

from domain.channels import Channel
from domain.deliveries import Status, overall_status
from domain.ids import DeliveryId, SendKey, new_id
from domain.outcomes import Answer, Outcome
from domain.priorities import Priority
from domain.receipts import Receipt, Report
from domain.settling import Roads, Rules
from ledger import dead_letters, deliveries, receipts, stopping
from ledger.database import Database
from ledger.dead_letter_list import Which
from ledger.deliveries import Answered, Claim, Leg
from ledger.intake import Intake
from ledger.settling import settle

EXPIRY = (None, 8250, 20_250)  # of the first, second and third person's message
PAUSE = 1250  # what a throttling vendor asks for


def often(**times: int) -> list[str]:
    """Each name so many times: how often a walk takes that step."""
    return [name for name, n in times.items() for _ in range(n)]


OUTCOMES = often(accepted=5, in_doubt=5, retryable=4, vendor_down=1, throttled=1, released=1, rejected=1)
KINDS = often(
    deliver=9, claim=3, divert=4, answer=12, receipts=4, settle=10, health=5, cancel=1, retry=4, discard=1, passes=8
)
SECONDS = (500, 1500, 1500, 3500, 3500, 11_000)
HOLDS = (5.0, None, 0.0)  # seconds until asking makes sense; nobody knows; now
NUMBER = st.integers(0, 11)
STEP = st.tuples(st.sampled_from(KINDS), NUMBER, NUMBER, NUMBER)


@dataclass
class Walk:
    """One batch of one channel, in PostgreSQL and in the model."""

    db: Database
    channel: Channel
    tenant: str
    batch: UUID
    notifications: list[UUID]
    rows: list[Row]
    roads: Roads
    now: int = 0
    legs: list[Leg] = field(default_factory=list)
    claims: list[tuple[Claim, str]] = field(default_factory=list)
    refs: dict[str, tuple[int, int]] = field(default_factory=dict)
    parked: list[tuple[str, Report]] = field(default_factory=list)
    events: list[Receipt] = field(default_factory=list)

    @classmethod
    async def start(cls, db: Database, channel: Channel, people: int, first: int) -> "Walk":
        """A notification for each person, all accepted together, queued for whoever is best at that moment."""
        now, tenant = datetime.now(UTC), f"tenant {new_id()}"
        expiry = EXPIRY[:people]
        group = [
            submission([channel.name], tenant=tenant, expires_at=now + timedelta(seconds=seconds) if seconds else None)
            for seconds in expiry
        ]
        provider = channel.route[first % len(channel.route)]
        flush = await Intake(db, CHANNELS, cap=512, first=lambda _: provider).accept(group)
        (batch,) = flush.batches
        rows = [Row(channel, 0, seconds, int(channel.life), provider) for seconds in expiry]
        roads = Roads(channel.route, {})
        return cls(db, channel, tenant, UUID(batch.run.batch), [s.id for s in group], rows, roads)

    # The steps: first in PostgreSQL, then in the model.

    async def deliver(self, n: int, chunk: int, _: int) -> None:
        """Another execution: it abandons what others left, repeats what may be repeated, and claims."""
        wanted = [row.provider for row in self.rows if row.status in ("queued", "sending", "in_doubt")]
        providers = wanted * 3 + list(self.channel.route)
        provider = providers[n % len(providers)]
        leg = Leg(self.batch, self.channel, provider, Priority.NORMAL, new_id())
        self.legs.append(leg)
        await deliveries.abandon(self.db, leg)
        for row in self.rows:
            row.abandon(leg.me, provider, self.now)
        if MEMORY[provider]:
            claims = await deliveries.resume(self.db, leg, MEMORY[provider], 100)
            self._claimed(leg, claims, [s for s, row in enumerate(self.rows) if row.resume(leg.me, provider, self.now)])
        await self._claim(leg, 1 + chunk % 3)

    async def claim(self, n: int, chunk: int, _: int) -> None:
        """An old execution claims once more."""
        if self.legs:
            await self._claim(self.legs[n % len(self.legs)], 1 + chunk % 3)

    async def divert(self, n: int, to: int, claims: int) -> None:
        """An execution tries one of its rows with another provider; it may be stopped before it claims the row."""
        providers = [row.provider for row in self.rows if row.status == "queued"] * 3 + list(self.channel.route)
        leg = Leg(self.batch, self.channel, providers[n % len(providers)], Priority.NORMAL, new_id())
        others = [name for name in self.channel.route if name != leg.provider]
        other = others[to % len(others)]
        diverted = await deliveries.divert(self.db, leg, other)
        assert diverted == any(row.divert(leg.provider, other, self.now) for row in self.rows)
        if diverted and claims % 3:
            self.legs.append(replace(leg, provider=other))
            await self._claim(self.legs[-1], 1)

    async def health(self, which: int, how: int, best: int) -> None:
        """Providers come to take nothing, and work again. Settle may know it or not yet."""
        route = self.channel.route
        down = [name for n, name in enumerate(route) if which >> n & 1 or which > 8]
        held = {name: HOLDS[(how + n) % len(HOLDS)] for n, name in enumerate(down)}
        first = best % len(route)
        turned = (*route[first:], *route[:first])
        order = (*(name for name in turned if name not in held), *(name for name in turned if name in held))
        stopped = len(route) if how % 4 else len(route) - 1  # an operator's word takes one out of the order
        self.roads = Roads(order[:stopped], held)

    async def _claim(self, leg: Leg, chunk: int) -> None:
        claims = await deliveries.claim(self.db, leg, chunk)
        mine: list[int] = []
        for seq, row in enumerate(self.rows):
            if len(mine) < chunk and row.claim(leg.me, leg.provider, self.now):
                mine.append(seq)
        self._claimed(leg, claims, mine)

    def _claimed(self, leg: Leg, claims: list[Claim], expected: list[int]) -> None:
        assert [(c.key.delivery.seq, c.attempt, c.key.key_no) for c in claims] == [
            (seq, self.rows[seq].attempt, self.rows[seq].key_no) for seq in expected
        ]
        self.claims += [(claim, leg.provider) for claim in claims]

    async def answer(self, first: int, second: int, how: int) -> None:
        """Owners of attempts, mostly the latest, record what they heard; repeats are possible."""
        if not self.claims:
            return
        outcome = Outcome(OUTCOMES[(5 * how + first + second) % len(OUTCOMES)])
        provider = self._claim_of(first)[1]
        picked = {id(self._claim_of(n)): self._claim_of(n) for n in (first, second)}
        mine = [claim for claim, by in picked.values() if by == provider]
        by_id = provider in BY_ID
        pause = PAUSE if outcome is Outcome.THROTTLED else None
        answers = [
            Answered(
                claim,
                Answer(outcome, self.message(claim) if outcome is Outcome.ACCEPTED else None, retry_after=pause),
                final=provider in FINAL,
            )
            for claim in mine
        ]
        recorded = await deliveries.record(self.db, self.channel, provider, Priority.NORMAL, answers, keep_refs=by_id)
        expected: set[int] = set()
        for claim in mine:
            seq = claim.key.delivery.seq
            if self.rows[seq].record(claim.attempt, outcome, provider, self.now, PAUSE):
                expected.add(seq)
            if by_id and outcome is Outcome.ACCEPTED:
                self.refs[self.message(claim)] = (seq, claim.key.key_no)
        assert {row.delivery.seq for row in recorded} == expected
        if by_id and outcome is Outcome.ACCEPTED:
            await receipts.match(self.db, [(provider, self.message(claim)) for claim in mine])
            self._apply([(*self.refs[m], report) for m, report in self.parked if m in self.refs])
            self.parked = [(m, report) for m, report in self.parked if m not in self.refs]

    def _claim_of(self, n: int) -> tuple[Claim, str]:
        """Small numbers: one of the latest three. Others: any."""
        back = n % 3 if n < 8 else n
        return self.claims[-1 - back % len(self.claims)]

    def message(self, claim: Claim) -> str:
        """The vendor's id of a send: one for each key."""
        return f"message of {claim.key}"

    async def receipts(self, first: int, second: int, how: int) -> None:
        """A group of receipts: by key, by delivery, by message id, repeated, of sends long ago."""
        if not self.claims:
            return
        report = Report.DELIVERED if how % 6 == 0 else Report.UNDELIVERED
        group = [self._receipt(*self._claim_of(first), report, by_delivery=how == 1)]
        if how in (2, 3, 4):
            group.append(self._receipt(*self._claim_of(second), Report.UNDELIVERED, by_delivery=how == 2))
        if how in (4, 5) and self.events:
            group.append(self.events[second % len(self.events)])
        fresh = list({r.event_id: r for r in group if r not in self.events}.values())
        self.events += fresh
        heard = await receipts.hear(self.db, group)
        assert heard.repeated == len(group) - len(fresh)
        known = [r for r in fresh if r.key or r.delivery]
        self._apply([((r.delivery or r.key.delivery).seq, r.key and r.key.key_no, r.report) for r in known])
        by_id = [(r.message_id, r.report) for r in fresh if r.message_id]
        self._apply([(*self.refs[m], report) for m, report in by_id if m in self.refs])
        self.parked += [(m, report) for m, report in by_id if m not in self.refs]

    def _receipt(self, claim: Claim, provider: str, report: Report, *, by_delivery: bool) -> Receipt:
        said: dict[str, Any] = {"key": claim.key}
        if by_delivery:
            said = {"delivery": claim.key.delivery}
        elif provider in BY_ID:
            said = {"message_id": self.message(claim)}
        event = f"{self.batch} {len(self.events)} {claim.key} {report} {by_delivery}"
        return Receipt(provider, event, report, datetime.now(UTC), **said)

    def _apply(self, news: list[tuple[int, int | None, Report]]) -> None:
        """Of one group: `delivered` wins over all else."""
        for seq, _, report in news:
            if report is Report.DELIVERED:
                self.rows[seq].delivered()
        moved: set[int] = set()
        for seq, key_no, report in news:
            before = self.rows[seq].status
            if report is Report.UNDELIVERED and seq not in moved:
                self.rows[seq].undelivered(key_no)
                if self.rows[seq].status != before:
                    moved.add(seq)

    async def settle(self, *_: int) -> None:
        """A look: moves, the answer to the run, and the books."""
        state = (await settle(self.db, self.batch, Rules(self.channel, Priority.NORMAL, self.roads))).state
        for row in self.rows:
            row.settle(self.now, self.roads)
        asked_later = {name for name, seconds in self.roads.held.items() if seconds != 0.0}
        queued = [row for row in self.rows if row.status == "queued"]
        due = {row.provider for row in queued if row.due <= self.now} - asked_later
        still_open = [row for row in self.rows if row.status not in ENDS]
        assert due <= set(state.due)  # and rows in `sending` for too long
        assert (state.held is not None) >= any(row.provider in asked_later for row in queued)
        assert state.open == len(still_open)
        assert state.dead == sum(row.status == "dead" for row in self.rows)
        written, real = await books(self.db, self.tenant)
        assert written == real
        (channel,) = await self.db.run("SELECT * FROM batch_channel WHERE batch_id = :b", b=self.batch)
        assert (channel.done_at is not None) == state.finished
        assert channel.held == (state.held is not None)
        if not still_open:
            await self._ends_are_told()

    async def _ends_are_told(self) -> None:
        rows = await self.db.run(
            "SELECT notification_id, status FROM notification_end WHERE notification_id = ANY(:n)", n=self.notifications
        )
        assert {row.notification_id: row.status for row in rows} == {
            notification: overall_status({Status(row.status): 1}, scheduled=False)
            for notification, row in zip(self.notifications, self.rows, strict=True)
        }

    async def cancel(self, n: int, *_: int) -> None:
        """One person's notification, preferably of which something may have gone out. Rare: it ends a row for good."""
        if n % 2:
            return
        seq = max(range(len(self.rows)), key=lambda seq: (self.rows[seq].doubts, (seq + n) % len(self.rows)))
        done = await stopping.cancel(self.db, self.tenant, self.notifications[seq])
        assert done is not None
        self.rows[seq].cancel()
        cancelled = [DeliveryId(self.batch, seq)] if self.rows[seq].status == "cancelled" else []
        assert list(done.cancelled) == cancelled

    async def retry(self, n: int, *_: int) -> None:
        """All dead letters, through the first provider or a chosen one."""
        provider = ([None, *self.channel.route])[n % (len(self.channel.route) + 1)]
        await dead_letters.retry(self.db, CHANNELS, Which(batch=self.batch), provider)
        for row in self.rows:
            row.retry(provider, self.now)

    async def discard(self, *_: int) -> None:
        """All dead letters."""
        await dead_letters.discard(self.db, Which(batch=self.batch))
        for row in self.rows:
            row.discard()

    async def passes(self, n: int, *_: int) -> None:
        """Time."""
        seconds = SECONDS[n % len(SECONDS)]
        await let_pass(self.db, self.batch, seconds)
        self.now += seconds

    # What has to hold after each of them.

    async def agrees(self) -> None:
        """PostgreSQL's rows are the model's."""
        rows = await self.db.run("SELECT * FROM delivery WHERE batch_id = :b ORDER BY seq", b=self.batch)
        real = [
            (r.status, r.provider, r.attempt, r.key_no, r.tries, r.doubts, r.possible_duplicates, tuple(r.spent))
            for r in rows
        ]
        model = [(r.status, r.provider, r.attempt, r.key_no, r.tries, r.doubts, r.duplicates, r.had) for r in self.rows]
        assert real == model
        (channel,) = await self.db.run("SELECT awaiting FROM batch_channel WHERE batch_id = :b", b=self.batch)
        assert channel.awaiting == sum(row.status in WAITS for row in self.rows)
        for row in self.rows:
            assert row.doubts >= 0


@pytest.mark.timeout(600)  # a walk that fails is made short before it is shown
@pytest.mark.parametrize("name", CHANNELS)
@settings(
    max_examples=12,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(people=st.integers(1, 3), first=NUMBER, steps=st.lists(STEP, min_size=40, max_size=100))
async def test_postgresql_and_the_model_agree_on_any_walk(
    db: Database, name: str, people: int, first: int, steps: list[tuple[Any, ...]]
) -> None:
    walk = await Walk.start(db, CHANNELS[name], people, first)
    for step, *arguments in steps:
        await getattr(walk, step)(*arguments)
        await walk.agrees()
    await all_is_true(db, walk.batch)


def test_a_send_key_names_its_delivery() -> None:
    """What the walk relies on when it reads a claim."""
    key = SendKey(DeliveryId(new_id(), 3), 4)
    assert SendKey.parse(str(key)) == key

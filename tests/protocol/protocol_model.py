"""The delivery protocol as a machine: all steps from a state. See docs/protocol.md for what it means.

Each step is one short transaction of the ledger, or one act of a vendor, of Temporal or of a person. `search.py` goes
through all orders of them.
"""

from collections.abc import Iterator, Sequence

from fates import Fates
from states import (
    ARRIVES,
    COUNTED,
    DELIVERS,
    GONE,
    OPEN,
    TERMINAL,
    Answer,
    Budget,
    Call,
    Row,
    Run,
    St,
    State,
    Step,
    Taken,
)

MOODS = ("accepts", "refuses", "times out")  # of vendors that are called, for liveness
HELD = "takes nothing"  # of vendors that are not even called: breakers are open, or an operator has stopped them
ALL_MOODS = (*MOODS, HELD)
PROVIDERS = (0, 1)


class Protocol(Fates):
    """The protocol without the guards in `off`."""

    def __init__(
        self,
        off: Sequence[str] = (),
        *,
        rows: int = 1,
        idempotent: tuple[bool, bool] = (False, False),
        tries: int = 2,
        attempts: int = 3,
        first: Sequence[int] = (0,),
        budget: Budget = Budget(),  # noqa: B008 - immutable
        people: bool = True,
        signals: bool = True,
    ) -> None:
        """`tries`: claims at one provider. `attempts`: claims in all, which bounds the search, not the protocol.

        `first`: at which providers the rows may start; two alike need only one.
        """
        super().__init__(off, idempotent, tries, attempts)
        self.people, self.signals = people, signals
        self.starts = [State((Row(provider=provider),) * rows, budget) for provider in first]
        self._budget = budget

    def steps(self, s: State) -> Iterator[Step]:
        """Everything that can happen next."""
        yield from self._temporal(s)
        yield from self._add(s)
        if s.run is Run.READS:
            yield from self._settle(s)
        for provider in PROVIDERS:
            yield from self._deliver(s, provider)
        for call in sorted(s.calls):
            yield from self._vendor(s, call) if call.answer is Answer.NONE else self._record(s, call)
        for message in sorted(s.taken):
            yield from self._receipt(s, message)
        if s.run is not Run.NEVER:
            yield from self._clock(s)
            yield from self._move(s)
        if self.people:
            yield from self._person(s)

    # Starting, losing, waking: what Temporal and the sweep do.

    def _temporal(self, s: State) -> Iterator[Step]:
        if s.run is Run.NEVER:
            yield self._to(s, "start", ALL_MOODS, run=Run.READS)
        still_open = any(row.status in OPEN for row in s.rows)
        if s.run in (Run.CLOSED, Run.LOST) and still_open and self.has["sweep_rows"]:
            yield self._to(s, "sweep", ALL_MOODS, run=Run.READS)
        if s.run not in GONE and s.budget.losses:
            zombies = s.zombies | {DELIVERS.index(s.run)} if s.run in DELIVERS else s.zombies
            budget = s.budget._replace(losses=s.budget.losses - 1)
            calls = _given_up(s.calls)
            yield self._to(
                s, "the workflow is lost", run=Run.LOST, hint=False, calls=calls, zombies=zombies, budget=budget
            )
        if s.signal:
            run = Run.READS if s.run in GONE else s.run
            yield self._to(s, "the signal arrives", signal=False, hint=s.run not in GONE, run=run)
            yield self._to(s, "the signal is lost", signal=False)
        if s.run is Run.WAITS and s.hint:
            yield self._to(s, "woken by the signal", ALL_MOODS, run=Run.READS, hint=not self.has["reread"])
        if s.run is Run.WAITS and self.has["own_timer"]:
            yield self._to(s, "woken by its own timer", ALL_MOODS, run=Run.READS)

    # A later commit brings one more delivery into the batch, whether its run was started or not; nobody is told of it.

    def _add(self, s: State) -> Iterator[Step]:
        ended = s.run is Run.CLOSED and not any(row.status is St.DEAD for row in s.rows)
        if s.budget.additions and not (ended and self.has["add_open"]):
            broken = "I1 a delivery was added to a batch that had ended: nobody looks there" if ended else None
            budget = s.budget._replace(additions=s.budget.additions - 1)
            yield self._to(s, "a delivery is added", (), broken, rows=(*s.rows, Row()), budget=budget)

    # settle: what is undelivered goes on; then the rows alone decide what the run does.

    def _settle(self, s: State) -> Iterator[Step]:
        rows, awaiting = s.rows, s.awaiting
        for d, row in enumerate(rows):
            if row.status is St.UNDELIVERED:
                rows, awaiting = self._put(rows, awaiting, d, self._onward(row))
        yield self._settled(s, rows, awaiting, held=False)
        if any(row.status is St.QUEUED for row in rows):
            yield self._settled(s, rows, awaiting, held=True)

    def _settled(self, s: State, rows: tuple[Row, ...], awaiting: int, *, held: bool) -> Step:
        """`held`: no provider takes anything now. What is queued waits, what was left in `sending` is looked after."""
        waiting = any(row.status in COUNTED or (held and row.status is St.QUEUED) for row in rows)
        work = self._work(rows, held)
        if work is not None:
            rows, awaiting = self._abandon(rows, awaiting, work)
            run = DELIVERS[work]
        else:
            run = Run.WAITS if waiting and (self.has["reread"] or not s.hint) else Run.CLOSED
        broken = "I4 the run ended on a stale signal while a row still waits" if run is Run.CLOSED and waiting else None
        nothing_queued = not any(row.status is St.QUEUED for row in rows)
        fair = (HELD,) if held else ALL_MOODS if nothing_queued else MOODS
        label = f"settle -> {run.name}{', providers take nothing' * held}"
        return self._to(s, label, fair, broken, rows=rows, awaiting=awaiting, run=run)

    def _work(self, rows: Sequence[Row], held: bool) -> int | None:
        """The provider to deliver through next: for queued rows, then abandoned ones, then those to repeat."""
        for wanted in (St.SENDING,) if held else (St.QUEUED, St.SENDING):
            for row in rows:
                if row.status is wanted:
                    return row.provider
        return next((row.provider for row in rows if self._repeatable(row, row.provider)), None)

    # deliver(provider): the execution the run waits for, and those it has given up.

    def _deliver(self, s: State, provider: int) -> Iterator[Step]:
        live = s.run is DELIVERS[provider]
        for zombie in ([False] if live else []) + ([True] if provider in s.zombies else []):
            for d, row in enumerate(s.rows):
                yield from self._claim(s, d, row, provider, zombie)
                yield from self._probe(s, d, row, provider, zombie)
        if not live:
            return
        if all(call.zombie for call in s.calls):
            left = any(
                row.provider == provider and (row.status is St.QUEUED or self._repeatable(row, provider))
                for row in s.rows
            )
            fair = (HELD,) if left else ALL_MOODS
            yield self._to(s, f"deliver ends{', its provider takes nothing' * left}", fair, run=Run.READS)
        if s.budget.timeouts:
            rows, awaiting = self._abandon(s.rows, s.awaiting, provider)
            yield self._to(
                s,
                "the activity times out, its retry starts",
                rows=rows,
                awaiting=awaiting,
                calls=_given_up(s.calls),
                zombies=s.zombies | {provider},
                budget=s.budget._replace(timeouts=s.budget.timeouts - 1),
            )

    def _claim(self, s: State, d: int, row: Row, provider: int, zombie: bool) -> Iterator[Step]:
        repeat = self._repeatable(row, provider)
        blind = (
            row.status is St.SENDING
            and not self.has["no_resend"]
            and row.attempt < self.attempts
            and not any(call.row == d and not call.zombie for call in s.calls)
        )
        if not (row.status is St.QUEUED or repeat or blind) or row.attempt > self.attempts:
            return
        if row.provider != provider and self.has["provider"]:
            return
        broken = "I5 an old execution sent a row through a provider it had left" if row.provider != provider else None
        new = self._claimed(row, provider, repeat)
        if new.attempt > self._allowed(s):
            broken = broken or "I7 a row was sent more often than its budget allows"
        rows, awaiting = self._put(s.rows, s.awaiting, d, new)
        call = Call(d, new.attempt, new.key, provider, zombie=zombie)
        label = f"{'zombie ' * zombie}claim {d}, provider {provider}, attempt {new.attempt}, key {new.key}"
        fair = () if zombie else MOODS
        yield self._to(s, label, fair, broken, rows=rows, awaiting=awaiting, calls=s.calls | {call})

    def _probe(self, s: State, d: int, row: Row, provider: int, zombie: bool) -> Iterator[Step]:
        """Divert a row to the other provider and claim it there at once. Between the two, see `_move`."""
        for there in self._moved(row) if row.provider == provider and s.budget.moves else ():
            new = there._replace(spent=there.spent | {there.provider})
            rows, _ = self._put(s.rows, s.awaiting, d, new)
            diverted = s._replace(rows=rows, budget=s.budget._replace(moves=s.budget.moves - 1))
            for step in self._claim(diverted, d, new, new.provider, zombie):
                yield step._replace(label=f"divert and {step.label}", fair=())

    def _vendor(self, s: State, call: Call) -> Iterator[Step]:
        rest = s.calls - {call}
        who = f"{'zombie ' * call.zombie}attempt {call.attempt} of {call.row}: vendor {call.provider}"
        cancelled = s.rows[call.row].status is St.CANCELLED
        broken = "I2 a vendor was called after cancel was acknowledged" if cancelled else None

        def then(answer: Answer) -> frozenset[Call]:
            return rest | {call._replace(answer=answer)}

        for taken in self._takes(s, call):
            kept = [message for message in taken if message.row == call.row and not message.bounced]
            uncounted = len(kept) - 1 > s.rows[call.row].duplicates
            wrong = broken or ("I3 taken twice, not counted as possible duplicate" if uncounted else None)
            fair = () if call.zombie else ("accepts",)
            yield self._to(s, f"{who} accepts", fair, wrong, calls=then(Answer.ACCEPTED), taken=taken)
            yield self._to(s, f"{who} accepts, answer lost", (), wrong, calls=then(Answer.TIMEOUT), taken=taken)
        fair = () if call.zombie else ("refuses",)
        yield self._to(s, f"{who} refuses", fair, broken, calls=then(Answer.REFUSED))
        fair = () if call.zombie else ("times out", HELD)
        yield self._to(s, f"{who} times out, not taken", fair, broken, calls=then(Answer.TIMEOUT))

    def _takes(self, s: State, call: Call) -> Iterator[frozenset[Taken]]:
        """What the vendor has if it takes this: for an idempotent one and a key it knows, nothing new."""
        idempotent = self.idempotent[call.provider]
        place = (call.row, call.key, call.provider)
        if idempotent and any((m.row, m.key, m.provider) == place for m in s.taken):
            yield s.taken
            return
        for arrives in (True, False):
            yield s.taken | {Taken(call.row, call.key, 0 if idempotent else call.attempt, call.provider, arrives)}

    def _record(self, s: State, call: Call) -> Iterator[Step]:
        row = s.rows[call.row]
        new = self._recorded(row, call)
        broken = None
        if new != row and call.attempt != row.attempt:
            broken = "I5 an old attempt overwrote a newer one"
        if new != row and row.status not in (St.QUEUED, St.SENDING, St.SENT, St.IN_DOUBT):
            broken = "I5 an answer overwrote a receipt or a final state"
        rows, awaiting = self._put(s.rows, s.awaiting, call.row, new)
        label = (
            f"{'zombie ' * call.zombie}attempt {call.attempt} of {call.row} records {call.answer}: {new.status.name}"
        )
        fair = () if call.zombie else ALL_MOODS
        yield self._to(s, label, fair, broken, rows=rows, awaiting=awaiting, calls=s.calls - {call})

    def _receipt(self, s: State, m: Taken) -> Iterator[Step]:
        row = s.rows[m.row]
        new = self._heard(row, m)
        taken = s.taken if m.arrives else s.taken - {m} | {m._replace(bounced=True)}
        ignored = m.arrives and new == row and row.status in ARRIVES
        if new == row and taken == s.taken and not ignored:
            return
        broken = "I6 a receipt `delivered` was ignored" if ignored else None
        if new != row and not m.arrives and m.key != row.key:
            broken = "I6 a late negative receipt moved a row that belongs to a newer send"
        rows, awaiting = self._put(s.rows, s.awaiting, m.row, new)
        signal = s.signal or (new != row and (not m.arrives or awaiting == 0))
        label = f"receipt {'delivered' if m.arrives else 'undelivered'} of {m.row}, key {m.key}: {new.status.name}"
        yield self._to(s, label, (), broken, rows=rows, awaiting=awaiting, taken=taken, signal=signal)

    # Time, row by row, also by a settle nobody waits for any more.

    def _clock(self, s: State) -> Iterator[Step]:
        for d, row in enumerate(s.rows):
            for new in self._overdue(row):
                rows, awaiting = self._put(s.rows, s.awaiting, d, new, counts=self.has["settle_counts"])
                label = f"time is up for {d}: {row.status.name} -> {new.status.name}"
                fair = () if s.run is not Run.READS else (HELD,) if row.status is St.QUEUED else ALL_MOODS
                yield self._to(s, label, fair, rows=rows, awaiting=awaiting)

    def _overdue(self, row: Row) -> Iterator[Row]:
        if row.status is St.QUEUED and self.has["patience"]:
            yield row._replace(status=St.DEAD)
        if row.status is St.SENT:
            if self.has["window_end"]:
                yield row._replace(status=St.UNCONFIRMED)
            if self._next(row) is not None:
                yield self._onward(row, doubts=1)
        if row.status is St.IN_DOUBT and self.has["doubt_end"]:
            again = self._next(row) is None and row.tries < self.tries and row.attempt < self.attempts
            yield row._replace(status=St.QUEUED) if again else self._onward(row)
            yield row._replace(status=St.UNCONFIRMED)

    # How the providers stand may change at any moment: a queued row is moved, also by a settle or deliver of long ago.

    def _move(self, s: State) -> Iterator[Step]:
        for d, row in enumerate(s.rows):
            for new in self._moved(row) if s.budget.moves else ():
                rows, awaiting = self._put(s.rows, s.awaiting, d, new)
                budget = s.budget._replace(moves=s.budget.moves - 1)
                yield self._to(s, f"move {d} to provider {new.provider}", rows=rows, awaiting=awaiting, budget=budget)

    def _person(self, s: State) -> Iterator[Step]:
        for d, row in enumerate(s.rows):
            if row.status is St.QUEUED or (row.status is St.SENDING and not self.has["cancel_queued"]):
                sure = row.doubts == 0 or not self.has["cancel_doubt"]
                new = row._replace(status=St.CANCELLED if sure else St.UNCONFIRMED)
                rows, awaiting = self._put(s.rows, s.awaiting, d, new)
                yield self._to(s, f"cancel {d} -> {new.status.name}", rows=rows, awaiting=awaiting)
            if row.status is not St.DEAD:
                continue
            rows, _ = self._put(s.rows, s.awaiting, d, row._replace(status=St.FAILED))
            yield self._to(s, f"discard {d}", rows=rows)
            if s.budget.retries and row.attempt < self.attempts:
                again = row._replace(status=St.QUEUED, provider=0, tries=0, spent=frozenset())
                rows, _ = self._put(s.rows, s.awaiting, d, again)
                budget = s.budget._replace(retries=s.budget.retries - 1)
                yield self._to(s, f"retry {d}", rows=rows, signal=True, budget=budget)

    def _allowed(self, s: State) -> int:
        """Claims there may be: the budget at each provider, anew after a retry; a move gives back what was used."""
        retries = self._budget.retries - s.budget.retries
        moves = self._budget.moves - s.budget.moves
        return self.tries * len(PROVIDERS) * (1 + retries) + (self.tries - 1) * moves

    # How rows and states change.

    def _abandon(self, rows: tuple[Row, ...], awaiting: int, provider: int) -> tuple[tuple[Row, ...], int]:
        if self.has["abandon"] and self.has["no_resend"]:
            for d, row in enumerate(rows):
                if row.status is St.SENDING and row.provider == provider:
                    new = row._replace(status=St.IN_DOUBT, doubts=row.doubts + 1)
                    rows, awaiting = self._put(rows, awaiting, d, new)
        return rows, awaiting

    def _put(
        self, rows: tuple[Row, ...], awaiting: int, d: int, new: Row, counts: bool = True
    ) -> tuple[tuple[Row, ...], int]:
        """The one way a row changes: row and counter in one transaction."""
        if counts:
            awaiting += self._counted(new.status) - self._counted(rows[d].status)
        return (*rows[:d], new, *rows[d + 1 :]), awaiting

    def _counted(self, status: St) -> bool:
        return status is St.SENT or (status is St.IN_DOUBT and self.has["count_doubt"])

    def _to(
        self, s: State, label: str, fair: tuple[str, ...] = (), broken: str | None = None, **changes: object
    ) -> Step:
        new = s._replace(**changes)
        if not self.signals:
            new = new._replace(signal=False)
        if self.has["fence"] and self.has["final"]:
            # Forget answers that can change nothing any more: it keeps the number of states small.
            calls = {c for c in new.calls if c.answer is Answer.NONE or self._matters(new, c)}
            new = new._replace(calls=frozenset(calls))
        return Step(label, new, fair, broken)

    def _matters(self, s: State, call: Call) -> bool:
        return self._recorded(s.rows[call.row], call) != s.rows[call.row]


def _given_up(calls: frozenset[Call]) -> frozenset[Call]:
    return frozenset(call._replace(zombie=True) for call in calls)


def all_ended(s: State) -> bool:
    """Every delivery is in a terminal state."""
    return all(row.status in TERMINAL for row in s.rows)


def waiting(s: State) -> int:
    """What `awaiting` has to be."""
    return sum(row.status in COUNTED for row in s.rows)

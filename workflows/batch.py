"""The run that carries a batch: for each channel, do what is due, then wait for news or for the next due time."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    from domain.priorities import delivery_queue
    from domain.runs import (
        DELIVER,
        DISCARD,
        HOLD_FIRST,
        HOLD_MOST,
        PARKED_FOR,
        POLL_FIRST,
        POLL_MOST,
        RETRY,
        SETTLE,
        WORKFLOW,
        Delivery,
        Look,
        Order,
        Part,
        Run,
        State,
        Which,
        silence_of,
    )

_STATE = SearchAttributeKey.for_keyword("ClarionState")

# Vendors' answers are not exceptions: what is retried here are faults of our own, until they are mended.
_UNTIL_MENDED = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=10))


@workflow.defn(name=WORKFLOW)
class BatchWorkflow:
    """Level-triggered: the rows are the truth, a signal is only a hint to look at them."""

    @workflow.init
    def __init__(self, run: Run) -> None:
        self._run = run
        self._hints = {part.channel: 0 for part in run.parts}
        self._ended = {part.channel: False for part in run.parts}
        self._parked = {part.channel: False for part in run.parts}  # waiting for a person
        self._states: dict[str, State] = {}
        self._looking = 0  # channels whose rows are being read or delivered

    @workflow.run
    async def run(self, run: Run) -> dict[str, dict[str, int]]:
        """Carry every channel to its end. Returns the number of deliveries by channel and status."""
        carrying = asyncio.gather(*(self._carry(part) for part in run.parts))
        # An operator's order under way is no hint: it is finished before the run ends or goes on as a new one.
        await workflow.wait_condition(
            lambda: (carrying.done() or self._may_stop()) and workflow.all_handlers_finished()
        )
        if carrying.done():
            await carrying
        if not all(self._ended.values()):
            workflow.continue_as_new(replace(run, parts=[replace(part, provider=None) for part in run.parts]))
        return {channel: state.counts for channel, state in self._states.items()}

    def _may_stop(self) -> bool:
        """All channels ended, or the history is long and nobody reads rows: a hint may be dropped, a result not."""
        return all(self._ended.values()) or (workflow.info().is_continue_as_new_suggested() and not self._looking)

    async def _carry(self, part: Part) -> None:
        """Bring one channel's deliveries to an end, and stay: late news may open it again."""
        channel, poll, hold = part.channel, POLL_FIRST, HOLD_FIRST
        due = [part.provider] if part.provider else []
        while not workflow.info().is_continue_as_new_suggested():
            seen = self._hints[channel]  # before the rows are read, so that no news falls between
            state = await self._look(channel, due)
            due = state.due
            if due:
                poll = POLL_FIRST
            elif state.open:
                news = await self._news_since(seen, channel, _patience(state, poll, hold))
                poll = POLL_FIRST if news else min(2 * poll, POLL_MOST)
                hold = HOLD_FIRST if news or state.held is None else min(2 * hold, HOLD_MOST)
            else:
                await self._rest(seen, channel, state)

    async def _look(self, channel: str, due: list[str]) -> State:
        """Deliver through the providers that rows are due for, if any; then say how the channel stands."""
        self._looking += 1
        states = await asyncio.gather(*(self._deliver(channel, provider) for provider in due))
        state = states[0] if len(states) == 1 else await self._settle(channel)
        self._looking -= 1
        self._states[channel] = state
        workflow.set_current_details(_details(self._states))
        return state

    async def _news_since(self, seen: int, channel: str, seconds: float) -> bool:
        with contextlib.suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                lambda: self._hints[channel] > seen, timeout=timedelta(seconds=seconds), timeout_summary=channel
            )
        return self._hints[channel] > seen

    async def _rest(self, seen: int, channel: str, state: State) -> None:
        """Nothing is open. With dead letters, park for a person; then the run may end. Returns on news only."""
        if state.dead:
            self._park(channel, True)
            news = await self._news_since(seen, channel, PARKED_FOR)
            self._park(channel, False)
            if news:
                return
        self._ended[channel] = self._hints[channel] == seen
        await workflow.wait_condition(lambda: self._hints[channel] > seen)

    def _park(self, channel: str, parked: bool) -> None:
        self._parked[channel] = parked
        _show("parked" if any(self._parked.values()) else "carrying")

    async def _settle(self, channel: str) -> State:
        """Local: it only reads the ledger, and a task of its own would cost Temporal more than the work."""
        return await workflow.execute_local_activity(
            SETTLE,
            Look(self._run.batch, channel, self._run.priority),
            result_type=State,
            activity_id=f"settle/{channel}",
            summary=f"how {channel} stands",
            start_to_close_timeout=timedelta(seconds=30),
            retry_policy=_UNTIL_MENDED,
        )

    async def _deliver(self, channel: str, provider: str) -> State:
        return await workflow.execute_activity(
            DELIVER,
            Delivery(self._run.batch, channel, provider, self._run.priority, self._run.owner),
            result_type=State,
            activity_id=f"deliver/{channel}/{provider}",
            summary=f"{channel} through {provider}",
            task_queue=delivery_queue(channel, self._run.priority),
            start_to_close_timeout=timedelta(minutes=10),
            heartbeat_timeout=timedelta(seconds=silence_of(self._run.priority)),
            retry_policy=_UNTIL_MENDED,
        )

    @workflow.signal(description="There is news for these channels: look at their rows. From the webhook API.")
    def wake(self, channels: list[str]) -> None:
        """A hint, never a fact."""
        for channel in channels:
            if channel in self._hints:
                self._news(channel)

    @workflow.signal(description='Try dead letters again: no input for all, or {"channel": "sms", "seqs": [3, 7]}.')
    async def retry(self, which: dict[str, Any] | None = None) -> None:
        """From a person, by the Temporal Web UI or command line."""
        await self._obey(RETRY, which)

    @workflow.signal(description='Give dead letters up: no input for all, or {"channel": "sms", "seqs": [3, 7]}.')
    async def discard(self, which: dict[str, Any] | None = None) -> None:
        """From a person, by the Temporal Web UI or command line."""
        await self._obey(DISCARD, which)

    async def _obey(self, what: str, said: dict[str, Any] | None) -> None:
        try:
            which = Which(**(said or {}))
        except TypeError:  # a misspelt field must not come to mean all of them
            workflow.logger.warning("An order with unknown fields was not obeyed", extra={"order": what})
            return
        for channel in self._hints:
            if which.channel in (None, channel):
                await workflow.execute_activity(
                    what,
                    Order(self._run.batch, channel, which.seqs, which.provider),
                    summary=f"{what} {channel}",
                    task_queue=delivery_queue(channel, self._run.priority),
                    start_to_close_timeout=timedelta(seconds=30),
                    retry_policy=_UNTIL_MENDED,
                )
                self._news(channel)

    def _news(self, channel: str) -> None:
        self._hints[channel] += 1
        self._ended[channel] = False

    @workflow.query(description="How each channel stood at the last look.")
    def state(self) -> dict[str, State]:
        """By channel."""
        return self._states


def _patience(state: State, poll: float, hold: float) -> float:
    """Seconds until the rows are looked at again without news."""
    waits = [poll]
    if state.wait is not None:
        waits.append(state.wait + 0.05)
    if state.held is not None:
        waits.append(max(state.held + 0.05, hold))
    return min(waits)


def _show(state: str) -> None:
    """Let operators list the runs that wait for a person."""
    workflow.upsert_search_attributes([_STATE.value_set(state)])  # pyright: ignore[reportUnknownMemberType]


def _details(states: dict[str, State]) -> str:
    """What the Web UI shows of a run: a line for each channel."""
    return "\n".join(f"- **{channel}**: {_line(state)}" for channel, state in states.items())


def _line(state: State) -> str:
    counts = ", ".join(f"{n} {status}" for status, n in state.counts.items())
    if state.due:
        return f"{counts}; now due through {', '.join(state.due)}"
    if state.held is not None:
        return f"{counts}; waiting for a provider"
    if state.open:
        return counts if state.wait is None else f"{counts}; next deadline {state.wait:.0f} s after this look"
    return f"{counts}; waiting for `retry` or `discard`" if state.dead else f"{counts}; done"

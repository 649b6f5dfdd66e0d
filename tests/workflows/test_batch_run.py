"""The run: does what is due, waits for news or the next due time, ends only by what it was told."""

import asyncio
from typing import Any

import pytest
from script import Handle, at_work, kinds, lasted, played, stands, started, timers
from temporalio.testing import WorkflowEnvironment

from domain.runs import PARKED_FOR, Delivery, Look, Part

DONE = stands(delivered=1)


async def _has_seen_both(run: Handle) -> None:
    """Return when the run knows how both of its channels stand, and waits."""
    async with asyncio.timeout(60):
        while len(await run.query("state")) < 2:
            await asyncio.sleep(0.02)


async def test_it_delivers_at_once_through_the_provider_it_was_given(skipping: WorkflowEnvironment) -> None:
    script = played(email=[stands(sent=1, wait=100.0), DONE])
    async with at_work(skipping.client, script):
        run = await started(skipping.client, Part("email", 1, "alpha"))
        assert await run.result() == {"email": {"delivered": 1}}
    first, second = script.calls
    assert isinstance(first, Delivery) and first.provider == "alpha"
    assert isinstance(second, Look)


async def test_without_a_provider_it_looks_first(skipping: WorkflowEnvironment) -> None:
    script = played(email=[stands("beta", queued=1), DONE])
    async with at_work(skipping.client, script):
        await (await started(skipping.client, Part("email", 1))).result()
    assert [type(call) for call in script.calls] == [Look, Delivery]


async def test_it_sleeps_until_the_next_due_time_and_no_longer(skipping: WorkflowEnvironment) -> None:
    script = played(email=[stands(queued=1, wait=7.0), stands("alpha", queued=1), DONE])
    async with at_work(skipping.client, script):
        run = await started(skipping.client, Part("email", 1, "alpha"))
        await run.result()
    history = await run.fetch_history()
    assert timers(history) == pytest.approx([7], abs=0.1)
    assert lasted(history) >= 7


async def test_without_a_due_time_it_polls_ever_more_slowly(skipping: WorkflowEnvironment) -> None:
    script = played(email=[*[stands(sent=1)] * 5, DONE])
    async with at_work(skipping.client, script):
        run = await started(skipping.client, Part("email", 1, "alpha"))
        await run.result()
    assert 30 + 60 + 120 + 240 + 300 <= lasted(await run.fetch_history()) < 780


async def test_it_asks_a_provider_that_takes_nothing_ever_more_slowly(skipping: WorkflowEnvironment) -> None:
    script = played(email=[*[stands(queued=1, held=0.2)] * 8, DONE])
    async with at_work(skipping.client, script):
        run = await started(skipping.client, Part("email", 1, "alpha"))
        await run.result()
    waits = timers(await run.fetch_history())
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60], abs=0.1)


async def test_it_asks_no_sooner_than_makes_sense_and_no_later_than_something_is_due(
    skipping: WorkflowEnvironment,
) -> None:
    waits = [(9.0, None), (9.0, 100.0), (50.0, 6.0), (3600.0, 20.0)]
    script = played(email=[*[stands(queued=2, held=held, wait=wait) for held, wait in waits], DONE])
    async with at_work(skipping.client, script):
        run = await started(skipping.client, Part("email", 2, "alpha"))
        await run.result()
    assert timers(await run.fetch_history()) == pytest.approx([9, 9, 6, 20], abs=0.1)


async def test_news_makes_it_ask_at_once_and_then_often_again(skipping: WorkflowEnvironment) -> None:
    waiting = stands(queued=1, held=0.2)
    script = played(email=[waiting, waiting, waiting, waiting, waiting, DONE])
    run: Any = None

    async def news(_: object) -> None:
        if len(script.calls) == 4:
            await run.signal("wake", ["email"])
            await asyncio.sleep(0.2)  # the run has it before the look returns

    script.meanwhile = news
    async with at_work(skipping.client, script):
        run = await started(skipping.client, Part("email", 1))
        await run.result()
    history = await run.fetch_history()
    assert timers(history) == pytest.approx([1, 2, 4, 8, 1], abs=0.1)
    assert lasted(history) >= 1 + 2 + 4 + 1
    assert kinds(history).count("TIMER_FIRED") == 4, "the fourth wait was broken off"


async def test_news_while_it_looks_is_not_lost(skipping: WorkflowEnvironment) -> None:
    """The signal falls between the reading of the rows and the waiting: it looks again before any timer fires."""
    script = played(email=[stands(sent=1), DONE])
    run: Any = None

    async def news(_: object) -> None:
        if len(script.calls) == 1:
            await run.signal("wake", ["email"])
            await asyncio.sleep(0.2)  # the run has it before the look returns

    script.meanwhile = news
    async with at_work(skipping.client, script):
        run = await started(skipping.client, Part("email", 1))
        await run.result()
    history = kinds(await run.fetch_history())
    assert "WORKFLOW_EXECUTION_SIGNALED" in history
    assert "TIMER_FIRED" not in history


async def test_news_wakes_it_from_waiting(skipping: WorkflowEnvironment) -> None:
    script = played(email=[stands(sent=1, wait=3600.0), DONE])
    async with at_work(skipping.client, script):
        run = await started(skipping.client, Part("email", 1, "alpha"))
        while not script.calls:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        await run.signal("wake", ["email", "a channel it does not carry"])
        await run.result()
    assert "TIMER_FIRED" not in kinds(await run.fetch_history())


async def test_two_due_providers_are_asked_at_once_and_then_it_looks(skipping: WorkflowEnvironment) -> None:
    script = played(email=[stands("alpha", "beta", queued=2), stands(sent=1), stands(sent=2), DONE])
    both = asyncio.Barrier(2)

    async def together(call: object) -> None:
        if isinstance(call, Delivery):
            async with asyncio.timeout(60):
                await both.wait()

    script.meanwhile = together
    async with at_work(skipping.client, script):
        await (await started(skipping.client, Part("email", 2))).result()
    assert [type(call) for call in script.calls] == [Look, Delivery, Delivery, Look]


async def test_one_channels_end_does_not_end_the_others(skipping: WorkflowEnvironment) -> None:
    script = played(email=[DONE], sms=[stands(sent=1, wait=50.0), stands(unconfirmed=1)])
    async with at_work(skipping.client, script):
        run = await started(skipping.client, Part("email", 1, "a"), Part("sms", 1, "b"))
        assert await run.result() == {"email": {"delivered": 1}, "sms": {"unconfirmed": 1}}


async def test_late_news_opens_an_ended_channel_while_the_run_lives(skipping: WorkflowEnvironment) -> None:
    script = played(email=[stands(failed=1), DONE], sms=[stands(sent=1, wait=3600.0), DONE])
    async with at_work(skipping.client, script):
        run = await started(skipping.client, Part("email", 1, "a"), Part("sms", 1, "b"))
        await _has_seen_both(run)
        await run.signal("wake", ["email"])
        async with asyncio.timeout(60):
            while not script.of(Look, "email"):
                await asyncio.sleep(0.01)
        await run.signal("wake", ["sms"])
        assert await run.result() == {"email": {"delivered": 1}, "sms": {"delivered": 1}}
    assert len(script.of(Look, "email")) == 1


async def test_with_dead_letters_it_parks_for_a_day_and_then_closes(skipping: WorkflowEnvironment) -> None:
    script = played(email=[stands(dead=1)])
    async with at_work(skipping.client, script):
        run = await started(skipping.client, Part("email", 1, "alpha"))
        assert await run.result() == {"email": {"dead": 1}}
    assert PARKED_FOR <= lasted(await run.fetch_history()) < PARKED_FOR + 60


@pytest.mark.parametrize("signal", ["retry", "discard"])
@pytest.mark.parametrize(
    ("said", "channels", "seqs", "provider"),
    [
        ([], ["email", "sms"], None, None),
        ([{}], ["email", "sms"], None, None),
        ([{"channel": "sms", "seqs": [3, 7], "provider": "beta"}], ["sms"], [3, 7], "beta"),
        ([{"channel": "pigeon"}], [], None, None),
    ],
)
async def test_a_person_orders_by_signal_with_and_without_input(
    skipping: WorkflowEnvironment, signal: str, said: list[Any], channels: list[str], seqs: Any, provider: Any
) -> None:
    script = played(email=[stands(dead=1), DONE], sms=[stands(dead=9), DONE])
    async with at_work(skipping.client, script):
        run = await started(skipping.client, Part("email", 1, "a"), Part("sms", 9, "b"))
        while len(script.calls) < 2:
            await asyncio.sleep(0.01)
        await run.signal(signal, args=said)
        states = await run.result()
    orders = script.of(signal)
    assert [(o.channel, o.seqs, o.provider) for o in orders] == [(c, seqs, provider) for c in channels]  # type: ignore[attr-defined]
    assert {channel for channel, counts in states.items() if "dead" not in counts} == set(channels)


async def test_a_fault_of_ours_is_tried_again_until_it_is_mended(skipping: WorkflowEnvironment) -> None:
    script = played(email=[DONE])
    faults = iter([RuntimeError("the ledger is away")] * 3)

    def fault(_: object) -> None:
        for error in faults:
            raise error

    script.meanwhile = fault
    async with at_work(skipping.client, script):
        run = await started(skipping.client, Part("email", 1, "alpha"))
        assert await run.result() == {"email": {"delivered": 1}}
    assert len(script.calls) == 4


async def test_anybody_can_ask_how_it_stands(skipping: WorkflowEnvironment) -> None:
    script = played(email=[stands(dead=1)])
    async with at_work(skipping.client, script):
        run = await started(skipping.client, Part("email", 1, "alpha"))
        await run.result()
        asked = await run.query("state")
    assert asked["email"]["counts"] == {"dead": 1}


async def test_a_run_shows_as_parked_while_any_of_its_channels_waits_for_a_person(
    skipping: WorkflowEnvironment,
) -> None:
    script = played(email=[stands(dead=1), DONE], sms=[stands(dead=1)])
    async with at_work(skipping.client, script):
        run = await started(skipping.client, Part("email", 1, "a"), Part("sms", 1, "b"))
        await _has_seen_both(run)
        await run.signal("retry", {"channel": "email"})
        await run.result()
    shown = [
        event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields["ClarionState"].data
        for event in (await run.fetch_history()).events
        if event.HasField("upsert_workflow_search_attributes_event_attributes")
    ]
    assert shown == [b'"parked"'] * 3 + [b'"carrying"']

"""What makes Clarion fast stays: bills and rates of small bursts, as they come and one by one. No absolute times."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bench.cases.burst import Burst
from bench.cases.cost import Bill, billed
from bench.cases.naive import SETTINGS
from bench.ground import ground

pytestmark = pytest.mark.timeout(240)  # two stacks, on a busy machine

COUNT, NAIVE_COUNT = 3_000, 60  # notifications
CLIENTS = 256  # as in `burst`: how many share a run follows from how many are asked for at once

Bills = dict[str, tuple[Burst, Bill]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bills(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bills]:
    """Of a burst on a stack of its own each: `shared` as Clarion comes, `naive` with a run for each notification."""
    folder: Path = tmp_path_factory.mktemp("guard")
    found: Bills = {}
    async with ground(folder / "shared.log") as on:
        found["shared"] = await billed(on, "guard", CLIENTS, count=COUNT)
    async with ground(folder / "naive.log", SETTINGS, warm=20) as on:
        found["naive"] = await billed(on, "guard", CLIENTS, count=NAIVE_COUNT)
    yield found


def test_every_notification_of_the_bursts_was_accepted_and_receipted(bills: Bills) -> None:
    for ended, _ in bills.values():
        assert len(ended.passages) == ended.result.accepted > 0
        assert all(passage.receipted for passage in ended.passages)
    assert bills["shared"][0].result.accepted == COUNT


def test_sharing_runs_is_many_times_as_fast_as_one_for_each(bills: Bills) -> None:
    assert bills["shared"][0].receipted >= 5 * bills["naive"][0].receipted


def test_a_notification_costs_a_fraction_of_a_state_transition(bills: Bills) -> None:
    bill = bills["shared"][1]
    assert bill.each(bill.transitions) <= 0.2


def test_a_notification_costs_a_fraction_of_a_statement(bills: Bills) -> None:
    bill = bills["shared"][1]
    assert bill.each(bill.statements) <= 0.5


def test_one_for_each_costs_many_times_as_much_so_the_counting_is_right(bills: Bills) -> None:
    shared, naive = bills["shared"][1], bills["naive"][1]
    assert naive.runs == naive.notifications
    assert naive.each(naive.transitions) >= 10 * shared.each(shared.transitions)
    assert naive.each(naive.statements) >= 10 * shared.each(shared.statements)

"""Nothing assumes a single process: two APIs and four workers share a load. And the model's arithmetic."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from temporalio.client import Client

from bench.cases.burst import GOAL, Burst, figures_of, series_of
from bench.finding import Figure, Finding
from bench.load import Result
from bench.scaling import check
from bench.scaling.costs import COMMITTED, STAGES, Stage, measured
from bench.scaling.crowd import Crowd, crowd, together
from bench.scaling.model import BUSY, plan
from bench.scaling.tables import TIMES, limits, needs
from domain.runs import WORKFLOW

PAPER = Path(__file__).parents[2] / "docs" / "scaling.md"

COUNT = 300  # notifications
SHARES = (("high", 0.5), ("normal", 0.3), ("low", 0.2))  # so that those for high priority have enough to share
SETTINGS = {
    "CLARION_MAX_BATCH": "5",  # some dozens of runs: enough for everybody
    # A machine that stands still for seconds leaves sends in doubt: not for minutes, and only to vendors that report.
    "CLARION_CHANNELS": '{"email": {"route": ["sendgrid", "ses"], "doubt": 5, "window": 30}}',
}

of_processes = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Shared:
    """A small load through two APIs and four workers, at its end."""

    on: Crowd
    results: list[Result]
    broken: list[str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    log: Path = tmp_path_factory.mktemp("scaling") / "parts.log"
    async with crowd(log, apis=2, each=2, settings=SETTINGS, warm=20) as on:
        results = await on.offer_each("small", 32, count=COUNT, shares=SHARES)
        yield Shared(on, results, await on.broken())


class TestSeveralProcesses:
    pytestmark = of_processes

    def test_each_api_accepts_its_part(self, shared: Shared) -> None:
        assert [result.accepted for result in shared.results] == [COUNT // 2, COUNT // 2]

    def test_nothing_is_lost_doubled_or_left(self, shared: Shared) -> None:
        assert shared.broken == []

    async def test_every_notification_is_receipted_though_vendors_report_to_one_api(self, shared: Shared) -> None:
        rows = await shared.on.db.run("SELECT status, count(*) AS n FROM delivery GROUP BY status")
        assert {row.status: row.n for row in rows} == {"delivered": COUNT + 20}

    async def test_every_worker_delivers_and_decides(self, shared: Shared) -> None:
        delivered, decided = await _work_of(shared.on)
        pids = {name: part.pid or 0 for name, part in shared.on.stack.services.items() if name.startswith("worker")}
        assert len(pids) == 4
        assert {name for name, pid in pids.items() if not delivered[pid]} == set()
        assert {name for name, pid in pids.items() if not decided[pid]} == set()

    async def test_what_one_api_accepted_the_other_knows(self, shared: Shared) -> None:
        """By its status, and by its idempotency key: repeated at the other it is no second notification."""
        on, body = shared.on, {"channels": ["email"], "recipient_ids": ["ada"], "message": "Once."}
        first, second = on.stack.addresses.apis
        headers = {"Authorization": f"Bearer {on.key}"}
        async with aiohttp.ClientSession(headers=headers, raise_for_status=True) as http:
            ids: list[str] = []
            for api in (first, second):
                async with http.post(f"{api}/notify", json=body, headers={"Idempotency-Key": "once"}) as answer:
                    ids.append((await answer.json())["id"])
            async with http.get(f"{second}/status/{ids[0]}") as answer:
                assert (await answer.json())["notification_id"] == ids[0] == ids[1]


async def _work_of(on: Crowd) -> tuple[Counter[int], Counter[int]]:
    """How many activities, and how many tasks of runs, each process began. By its id, as Temporal's histories say."""
    client = await Client.connect(on.stack.addresses.temporal_address)
    delivered, decided = Counter[int](), Counter[int]()
    async for run in client.list_workflows(f"WorkflowType = '{WORKFLOW}'"):
        async for event in client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history_events():
            if event.HasField("activity_task_started_event_attributes"):
                delivered[_pid(event.activity_task_started_event_attributes.identity)] += 1
            elif event.HasField("workflow_task_started_event_attributes"):
                decided[_pid(event.workflow_task_started_event_attributes.identity)] += 1
    return delivered, decided


def _pid(identity: str) -> int:
    return int(identity.partition("@")[0])


COSTS = replace(
    COMMITTED,
    stages={name: Stage(100, 1_000) for name in STAGES},
    flushes=10.0,
)


def test_a_load_is_planned_with_processes_that_are_not_busier_than_they_may() -> None:
    for rate in (1, 1_667, 16_670, 166_700):
        needs = plan(COSTS, rate)
        assert needs.cores["API"] <= BUSY * needs.apis
        assert needs.cores["workers"] <= BUSY * needs.workers


def test_runs_follow_api_processes_and_are_never_more_than_notifications() -> None:
    assert plan(COSTS, 1).runs == 1
    assert plan(COSTS, 16_670).runs == plan(COSTS, 16_670).apis * COSTS.flushes


def test_the_nearest_wall_comes_first() -> None:
    walls = plan(COSTS, 166_700).walls
    assert walls[0].share == max(wall.share for wall in walls) > 1


def _round(rate: float, runs: float, run_cost: float) -> check.Round:
    cores = (100 * rate + run_cost * runs) / 1e6
    bill = check.Bill(1_000, 200, 300, 100, 50_000, 10, {"its log": 4e6, "PostgreSQL": 3e6})
    return check.Round(rate, runs, dict.fromkeys(STAGES, cores), bill, [])


def test_two_rounds_tell_what_a_notification_costs_from_what_a_run_costs() -> None:
    costs = check.costs_of(_round(1_000, 10, 2_000), _round(500, 20, 2_000))
    for stage in costs.stages.values():
        assert (stage.each, stage.run) == (pytest.approx(100), pytest.approx(2_000))
    assert (costs.flushes, costs.wal, costs.transitions) == (10, 4_000, 10)


def test_noise_makes_no_cost_negative() -> None:
    costs = check.costs_of(_round(1_000, 10, 2_000), _round(500, 20, 100))
    assert all(stage.run >= 0 and stage.each >= 0 for stage in costs.stages.values())


def test_two_doors_halve_what_a_run_carries_and_the_cores_are_used_up() -> None:
    one = _round(1_000, 10, 2_000)
    foretold = check.predicted(one, COSTS, 2.0, apis=2)
    assert foretold.size == 50
    assert foretold.micros == dict.fromkeys(STAGES, 120)
    assert foretold.rate * sum(foretold.micros.values()) == pytest.approx(2e6)


def test_costs_come_from_the_cases_that_were_measured() -> None:
    cpu = {"api": 0.2, "worker-high": 0.05, "worker-rest": 0.15, "postgres": 0.2, "temporal": 0.2, "load": 0.2}
    ended = Burst(Result(latencies=[0.01] * 1_000, seconds=1.0), [], cpu, seconds=2.0)
    burst = Finding("burst", 60, figures_of(ended, 1_000), series=series_of(ended))
    names = ("SQL statements", "with BEGIN and COMMIT", "disk, its log", "disk, PostgreSQL", "state transitions")
    cost = Finding("cost", 20, [Figure("notifications in a run", 100), *(Figure(name, 0.1) for name in names)])
    costs = measured(burst, cost)
    whole = {name: stage.each + stage.run / 100 for name, stage in costs.stages.items()}
    assert whole == pytest.approx({"API": 200, "workers": 200, "PostgreSQL": 200, "Temporal": 200, "Valkey": 0})
    assert (costs.flushes, costs.transitions) == (10, pytest.approx(10))


def test_loads_side_by_side_are_one() -> None:
    parts = [Result({503: 1}, 0, [0.1], 2.0, 10.0, 1.0), Result({503: 2, 429: 1}, 1, [0.2], 3.0, 9.5, 2.0)]
    assert together(parts) == Result({503: 3, 429: 1}, 1, [0.1, 0.2], 3.0, 9.5, 3.0)


def test_the_paper_shows_what_the_model_says_of_the_committed_costs() -> None:
    text, plans = PAPER.read_text(), [plan(COMMITTED, GOAL * times) for times in TIMES]
    rows = [*needs(COMMITTED, plans), *limits(plans)]
    assert [row for row in rows if f"| {' | '.join(row)} |" not in text] == []

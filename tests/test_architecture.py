"""What holds for every file: it says what it is for, workflows are deterministic, what a run names is served."""

import ast
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr
from temporalio import activity, workflow
from test_import_rules import FREE, ROOT, rooms

import domain.runs
from domain.channels import EMAIL, PUSH, SMS
from domain.priorities import MAINTENANCE, Priority, delivery_queue, workflow_queue
from domain.runs import DISCARD, MAINTENANCE_WORKFLOW, RETRY, SWEEP, TIDY, WORKFLOW
from settings import Settings
from workers.queues import chosen, every_queue
from workers.worker import Workshop, worker_for, workshop

CHANNELS = [channel.name for channel in (EMAIL, SMS, PUSH)]
MODULES = sorted(
    file
    for room in rooms() | (FREE - {"docs", "deploy"})
    for file in (ROOT / room).rglob("*.py")
    if file.stat().st_size
)
WORKFLOWS = sorted((ROOT / "workflows").glob("*.py"))
WORKFLOWS_MAY_IMPORT = {"asyncio", "contextlib", "dataclasses", "typing", "datetime", "temporalio", "domain"}
# Variables that hold the name of an activity, and what they can hold.
NAMED_BY_VARIABLE = {"what": (RETRY, DISCARD), "chore": (SWEEP, TIDY)}


def path_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", MODULES, ids=path_of)
def test_a_module_begins_with_a_sentence_that_says_what_it_is_for(file: Path) -> None:
    text = ast.get_docstring(ast.parse(file.read_text()))
    assert text
    first = text.partition("\n\n")[0].replace("\n", " ").rstrip()
    assert first.endswith((".", ":", "?")), first


# Deterministic workflows.


def workflow_nodes() -> Iterator[tuple[Path, ast.AST]]:
    for file in WORKFLOWS:
        for node in ast.walk(ast.parse(file.read_text())):
            yield file, node


def dotted(node: ast.AST) -> str:
    """`asyncio.sleep` of the expression that says so; an empty string for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def test_workflows_import_nothing_that_has_a_clock_an_outside_or_chance() -> None:
    wrong: list[str] = []
    for file, node in workflow_nodes():
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        wrong += [f"{path_of(file)}: {name}" for name in names if name.split(".")[0] not in WORKFLOWS_MAY_IMPORT]
    assert wrong == []


def test_workflows_ask_no_clock_open_nothing_and_go_through_no_set() -> None:
    """Sets of strings have another order in each process; asyncio.wait and as_completed go through one."""
    never = {"open", "print", "input", "set", "frozenset", "id", "hash", "eval", "exec", "__import__"}
    late = {"asyncio.wait", "asyncio.as_completed", "asyncio.to_thread", "asyncio.run", "asyncio.new_event_loop"}
    wrong: list[str] = []
    for file, node in workflow_nodes():
        where = f"{path_of(file)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Set | ast.SetComp):
            wrong.append(f"{where}: a set")
        if isinstance(node, ast.Name | ast.Attribute):
            name = dotted(node)
            clock = name.rpartition(".")[2] in {"now", "utcnow", "today"} and not name.startswith("workflow.")
            if name in never | late or clock:
                wrong.append(f"{where}: {name}")
    assert wrong == []


# Whatever a run names is served.


def activities_named(how: str) -> set[str]:
    """The activities workflows call by `how`: `execute_activity` or `execute_local_activity`."""
    found: set[str] = set()
    for _, node in workflow_nodes():
        if isinstance(node, ast.Call) and dotted(node.func) == f"workflow.{how}":
            name = dotted(node.args[0])
            found |= set(NAMED_BY_VARIABLE[name] if name in NAMED_BY_VARIABLE else (getattr(domain.runs, name),))
    return found


@pytest_asyncio.fixture
async def shop(
    database_url: str, redis_url: str, temporal_address: str, temporal_namespace: str
) -> AsyncIterator[Workshop]:
    """What a worker process has."""
    settings = Settings(
        database_url=SecretStr(database_url),
        redis_url=SecretStr(redis_url),
        temporal_address=temporal_address,
        temporal_namespace=temporal_namespace,
    )
    async with workshop(settings) as found:
        yield found


def activities_at(shop: Workshop, queue: str) -> set[str]:
    registered = worker_for(queue, shop).config()["activities"]  # type: ignore[typeddict-item]
    return {activity._Definition.must_from_callable(each).name or "" for each in registered}


async def test_every_activity_a_workflow_names_is_registered_where_it_is_asked_for(shop: Workshop) -> None:
    chores = {SWEEP, TIDY}
    local, remote = activities_named("execute_local_activity"), activities_named("execute_activity")
    assert remote >= chores
    assert remote - chores, "the search above finds what runs ask for"
    for priority in Priority:
        assert local <= activities_at(shop, workflow_queue(priority))
        for channel in CHANNELS:
            assert remote - chores <= activities_at(shop, delivery_queue(channel, priority))
    assert chores <= activities_at(shop, MAINTENANCE)


async def test_every_workflow_is_registered_at_every_priority(shop: Workshop) -> None:
    for priority in Priority:
        registered = worker_for(workflow_queue(priority), shop).config()["workflows"]  # type: ignore[typeddict-item]
        names = {workflow._Definition.must_from_class(each).name for each in registered}
        assert names == {WORKFLOW, MAINTENANCE_WORKFLOW}


def test_every_queue_a_run_can_name_has_a_worker() -> None:
    named = {workflow_queue(priority) for priority in Priority} | {MAINTENANCE}
    named |= {delivery_queue(channel, priority) for channel in CHANNELS for priority in Priority}
    assert named == set(every_queue(CHANNELS)) == set(chosen("all", CHANNELS))
    high, rest = set(chosen("high", CHANNELS)), set(chosen("rest", CHANNELS))
    assert high | rest == named
    assert not high & rest, "high priority has processes of its own"


# What must not be in any file.


def kept_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    return [ROOT / name for name in listed.stdout.split()]


def test_no_file_names_a_place_of_somebodys_machine_or_a_package_index() -> None:
    personal = re.compile(r"(?<![\w.{}$-])/(work|home|root|Users|mnt)/[A-Za-z]|https?://[^\s\"']*/simple\b|pypi[.]org")
    files = kept_files()
    if not files:
        pytest.skip("no git here")
    wrong = []
    for file in files:
        if file.is_file() and file.suffix not in {".png", ".ico"} and personal.search(file.read_text(errors="replace")):
            wrong.append(path_of(file))
    assert wrong == []

"""A running stack: every part answers, comes back after kill -9, and has kept what it had acknowledged."""

import os
import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
import stand_in
from foreground import eventually
from redis.asyncio import Redis
from temporalio.client import Client

from settings import Settings
from workers.embedded.output import to_file
from workers.embedded.part import Part
from workers.embedded.stack import Stack, running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    settings = Settings(data_dir=folder, database_url=None, redis_url=None, temporal_address=None)
    sink = to_file(folder / "log")
    async with running(settings, free_ports=True, sink=sink, commands=stand_in.COMMANDS) as started:
        yield started


async def killed(part: Part) -> None:
    """kill -9, then wait for its next life to answer."""
    before = part.pid
    assert before
    os.kill(before, signal.SIGKILL)
    await eventually(lambda: part.pid not in (before, None) and part.ready.is_set())


async def test_every_part_runs(stack: Stack) -> None:
    assert set(stack.services) == {"postgres", "valkey", "temporal", "sandbox", "api", "worker-high"}
    assert all(part.pid for part in stack.services.values())


async def test_postgresql_keeps_what_it_acknowledges(stack: Stack) -> None:
    connection = await asyncpg.connect(stack.addresses.database_url)
    try:
        assert await connection.fetchval("SHOW fsync") == "on"
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
        assert await connection.fetchval("SHOW shared_preload_libraries") == "pg_stat_statements"
    finally:
        await connection.close()


async def test_postgresql_asks_for_its_password(stack: Stack) -> None:
    stranger = stack.addresses.database_url.replace("postgresql://clarion:", "postgresql://clarion:not-")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(stranger)


async def test_a_commit_survives_kill_9_of_postgresql(stack: Stack) -> None:
    connection = await asyncpg.connect(stack.addresses.database_url)
    await connection.execute("CREATE TABLE kept (n int)")
    await connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
    await killed(stack.services["postgres"])
    connection.terminate()
    connection = await asyncpg.connect(stack.addresses.database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM kept") == 1000
    finally:
        await connection.close()


async def test_a_key_survives_kill_9_of_valkey(stack: Stack) -> None:
    async with Redis.from_url(stack.addresses.redis_url) as client:
        await client.set("kept", "yes")
    await killed(stack.services["valkey"])
    async with Redis.from_url(stack.addresses.redis_url) as client:
        assert await client.get("kept") == b"yes"


async def test_a_workflow_survives_kill_9_of_temporal(stack: Stack) -> None:
    client = await Client.connect(stack.addresses.temporal_address)
    await client.start_workflow("Kept", id="kept", task_queue="nobody")
    await killed(stack.services["temporal"])
    client = await Client.connect(stack.addresses.temporal_address)
    assert (await client.get_workflow_handle("kept").describe()).workflow_type == "Kept"


@pytest.mark.parametrize("name", ["sandbox", "api", "worker-high"])
async def test_our_own_process_comes_back_after_kill_9(stack: Stack, name: str) -> None:
    await killed(stack.services[name])


async def test_a_part_that_comes_back_disturbs_no_other(stack: Stack) -> None:
    before = {name: part.pid for name, part in stack.services.items() if name != "api"}
    await killed(stack.services["api"])
    assert {name: part.pid for name, part in stack.services.items() if name != "api"} == before

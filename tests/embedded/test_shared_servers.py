"""The servers the tests share: real, separate for each test, and as durable as those of a deployment."""

import sys
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis
from temporalio.client import Client


async def test_each_test_has_a_migrated_database_of_its_own(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
        assert await connection.fetchval("SELECT count(*) FROM delivery") == 0
        assert await connection.fetchval("SHOW fsync") == "on"
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
    finally:
        await connection.close()


async def test_redis_is_empty_at_first(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        assert await client.dbsize() == 0
        await client.set("left", "behind")


async def test_redis_is_empty_again(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        assert await client.dbsize() == 0


async def test_the_namespace_takes_workflows(temporal_address: str, temporal_namespace: str) -> None:
    client = await Client.connect(temporal_address, namespace=temporal_namespace)
    handle = await client.start_workflow("Nobody", id="nobody", task_queue="nobody")
    assert (await handle.describe()).id == "nobody"
    await handle.terminate()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what one process holds")
async def test_a_connection_gives_back_what_its_largest_statements_took(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        for n in range(30):  # each larger than the last, and each leaves a plan behind
            texts = ["x" * 1_000] * 300 * (n + 1)
            await connection.fetch(f"SELECT {n}, row_number() OVER (ORDER BY t) FROM unnest($1::text[]) AS t", texts)
        assert _held(await connection.fetchval("SELECT pg_backend_pid()")) < 15_000
    finally:
        await connection.close()


def _held(pid: int) -> int:
    """KB that are a process's own."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1])

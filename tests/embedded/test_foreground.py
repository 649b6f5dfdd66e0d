"""The stack in the foreground: Ctrl-C once and twice, kill -9, ports, outside servers, an ordinary user."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from foreground import foreground, gone, own_uid
from servers import Servers

AS_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


def can_become_a_user() -> bool:
    """Root can run a program as an ordinary user that may read what root may."""
    return bool(shutil.which("unshare")) and subprocess.run([*AS_USER, "true"], check=False).returncode == 0


async def test_ctrl_c_stops_everything_cleanly(tmp_path: Path) -> None:
    async with foreground(tmp_path / "data") as dev:
        await dev.ready()
        pids = dev.pids()
        dev.process.send_signal(signal.SIGINT)
        code, errors = await dev.ended()
    assert (code, errors) == (0, "")
    assert await gone(pids, within=0.5) == []
    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()
    assert "killed" not in dev.printed


async def test_parts_stop_in_the_opposite_order_of_their_start(tmp_path: Path) -> None:
    async with foreground(tmp_path / "data") as dev:
        await dev.ready()
        dev.process.terminate()
        assert (await dev.ended())[0] == 0
    assert dev.printed.index("worker-high  | stopping") < dev.printed.index("received fast shutdown request")


async def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    async with foreground(tmp_path / "data") as dev:
        await dev.ready()
        pids = dev.pids()
        dev.process.send_signal(signal.SIGINT)
        dev.process.send_signal(signal.SIGINT)
        code, _ = await dev.ended()
    assert code == 0
    assert await gone(pids) == []


async def test_ctrl_c_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    async with foreground(tmp_path / "data") as dev:
        await dev.until("postgres     | ready")
        pids = dev.pids()
        dev.process.send_signal(signal.SIGINT)
        assert await dev.ended() == (0, "")
    assert await gone(pids, within=0.5) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start cleans up: test_leftovers")
async def test_kill_9_of_the_supervisor_leaves_no_orphans_and_loses_nothing(tmp_path: Path) -> None:
    async with foreground(tmp_path / "data") as dev:
        await dev.ready()
        connection = await asyncpg.connect(dev.environment()["CLARION_DATABASE_URL"])
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        pids = dev.pids()
        dev.process.kill()
        await dev.ended()
        connection.terminate()
        assert await gone(pids) == []
    async with foreground(tmp_path / "data") as dev:
        await dev.ready()
        connection = await asyncpg.connect(dev.environment()["CLARION_DATABASE_URL"])
        assert await connection.fetchval("SELECT answer FROM kept") == 42
        await connection.close()


async def test_a_start_right_after_kill_9_waits_for_what_is_still_ending(tmp_path: Path) -> None:
    async with foreground(tmp_path / "data") as dev:
        await dev.ready()
        dev.process.kill()
    async with foreground(tmp_path / "data") as dev:
        await dev.ready()


async def test_a_second_stack_on_the_same_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    async with foreground(tmp_path / "data") as first:
        await first.ready()
        async with foreground(tmp_path / "data") as second:
            code, errors = await second.ended()
        assert code == 2
        assert errors.count("\n") == 1
        assert f"pid {first.process.pid}" in errors
        assert await gone(first.pids(), within=0) == first.pids()


async def test_a_taken_port_is_one_line_and_nothing_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        async with foreground(tmp_path / "data", "--promised-ports", CLARION_PORT=str(port)) as dev:
            code, errors = await dev.ended()
    assert code == 2
    assert errors.count("\n") == 1
    assert f"Port {port} (the API) is taken" in errors
    assert dev.printed == ""
    assert not (tmp_path / "data" / "postgres").exists()


async def test_outside_servers_are_used_instead_of_embedded_ones(tmp_path: Path, servers: Servers) -> None:
    outside = {
        "CLARION_DATABASE_URL": servers.database_url,
        "CLARION_REDIS_URL": servers.redis_url,
        "CLARION_TEMPORAL_ADDRESS": servers.temporal_address,
    }
    async with foreground(tmp_path / "data", **outside) as dev:
        await dev.ready()
        assert len(dev.pids()) == 3  # sandbox, api, worker
        assert dev.environment().items() >= outside.items()


async def test_an_outside_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    async with foreground(tmp_path / "data", CLARION_TEMPORAL_ADDRESS="127.0.0.1:1") as dev:
        code, errors = await dev.ended()
    assert code == 2
    assert errors.startswith("CLARION_TEMPORAL_ADDRESS: Temporal did not answer")


@pytest.mark.skipif(os.geteuid() != 0, reason="every other test here ran as an ordinary user")
async def test_root_never_runs_postgresql_as_root(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    async with foreground(private / "data") as dev:
        await dev.ready()
        assert own_uid(dev.pids()[0]) != 0


@pytest.mark.skipif(os.geteuid() != 0 or not can_become_a_user(), reason="an ordinary user already, or may not be one")
async def test_an_ordinary_user_needs_no_rights(tmp_path: Path) -> None:
    async with foreground(tmp_path / "data", prefix=AS_USER) as dev:
        await dev.ready()
        pids = dev.pids()
        dev.process.send_signal(signal.SIGINT)
        assert await dev.ended() == (0, "")
    assert await gone(pids, within=0.5) == []

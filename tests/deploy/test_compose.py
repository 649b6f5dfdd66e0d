"""The compose file and the Dockerfile: read by the real Compose and hadolint, and held against the code."""

import fnmatch
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from domain.priorities import MAINTENANCE, Priority, delivery_queue, workflow_queue
from sandbox.credentials import load_or_create

ROOT = Path(__file__).parents[2]
TOOLS = Path(sysconfig.get_path("scripts"))
SECRETS = {
    "POSTGRES_PASSWORD": "one",
    "TEMPORAL_POSTGRES_PASSWORD": "two",
    "CLARION_SECRET_KEY": "three",
    "CLARION_ENCRYPTION_KEYS": "four",
}
QUEUES = [
    MAINTENANCE,
    *(workflow_queue(priority) for priority in Priority),
    *(delivery_queue(channel, priority) for channel in ("email", "sms", "push") for priority in Priority),
]


def compose(*arguments: str, secrets: dict[str, str] = SECRETS) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **secrets}
    return subprocess.run(
        [TOOLS / "docker-compose", "--file", "docker-compose.yml", "--env-file", os.devnull, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Every service as Compose itself reads it."""
    read = compose("--profile", "*", "config", "--format", "json")
    assert read.returncode == 0, read.stderr
    return json.loads(read.stdout)["services"]


def test_compose_accepts_it_without_a_warning() -> None:
    done = compose("--profile", "*", "config", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("missing", SECRETS)
def test_a_missing_secret_stops_it(missing: str) -> None:
    done = compose("config", "--quiet", secrets={name: "x" for name in SECRETS if name != missing})
    assert done.returncode != 0
    assert missing in done.stderr


def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [TOOLS / "hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_queue_has_exactly_one_worker_service(services: dict[str, Any]) -> None:
    served = [
        queue
        for service in services.values()
        for pattern in queues_of(service)
        for queue in fnmatch.filter(QUEUES, pattern)
    ]
    assert sorted(served) == sorted(QUEUES)


def queues_of(service: dict[str, Any]) -> list[str]:
    command = service.get("command") or []
    return command[command.index("--queues") + 1].split(",") if "--queues" in command else []


def test_everything_is_pinned_limited_and_restarted(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if not service["image"].startswith("clarion:"):
            assert re.fullmatch(r"[\w/.-]+:v?\d+(\.\d+){1,2}", service["image"]), name
        once = name in {"migrate", "temporal-schema", "sandbox-credentials"}
        assert service["restart"] == "unless-stopped" or once, name
        assert once or service["deploy"]["resources"]["limits"]["memory"], name


def test_clarion_runs_without_privileges(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if name in {"api", "migrate"} or name.startswith("worker-"):
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
            assert "no-new-privileges:true" in service["security_opt"], name
            assert service["environment"]["CLARION_DEV"] == "false", name


def test_stores_are_unreachable_from_outside_and_kept(services: dict[str, Any]) -> None:
    for name in ("postgres", "valkey", "temporal"):
        assert "ports" not in services[name]
        assert list(services[name]["networks"]) == ["inside"]
        assert services[name]["healthcheck"]
    assert {volume["type"] for name in ("postgres", "valkey") for volume in services[name]["volumes"]} >= {"volume"}


def test_ports_are_published_to_this_machine_only(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_durability_stays_on(services: dict[str, Any]) -> None:
    assert {"-cfsync=on", "-csynchronous_commit=on"} <= set(services["postgres"]["command"])


def test_mounted_files_exist(services: dict[str, Any]) -> None:
    for service in services.values():
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                assert Path(volume["source"]).exists(), volume["source"]


@pytest.mark.skipif(not (ROOT / "cli" / "main.py").exists(), reason="there is no command line yet")
def test_commands_and_options_exist(services: dict[str, Any]) -> None:
    for name, service in services.items():
        command = service.get("command") or []
        if service["image"].startswith("clarion:") and not service.get("entrypoint"):
            asked = subprocess.run(
                [sys.executable, "-m", "cli.main", command[0], "--help"],
                cwd=ROOT,
                env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert asked.returncode == 0, (name, asked.stderr)
            for option in (word for word in command if word.startswith("--")):
                assert option in asked.stdout, (name, option)


def test_the_sandbox_and_its_credentials_speak_the_same(services: dict[str, Any], tmp_path: Path) -> None:
    script = services["sandbox-credentials"]["command"][0].replace('"/data"', repr(str(tmp_path)))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    file = tmp_path / "sandbox.env"
    file.write_text(done.stdout)

    expected = load_or_create(tmp_path).environment("http://sandbox:8025", 8026, "sandbox")
    assert dotenv_values(file) == expected
    probe = tmp_path / "probe.yml"
    probe.write_text(json.dumps({"services": {"probe": {"image": "x", "env_file": [str(file)]}}}))
    read = subprocess.run(
        [TOOLS / "docker-compose", "--file", probe, "config", "--format", "json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(read.stdout)["services"]["probe"]["environment"] == expected

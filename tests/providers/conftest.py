"""Fixtures of the provider tests: one sandbox a test process, providers pointed at it."""

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from vendor_side import Make, OneAnswer, Sandbox, clarion_variables, running_sandbox

from providers.base import Provider
from providers.registry import provider_classes


@pytest.fixture(scope="session")
def _sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest_asyncio.fixture
async def vendors(_sandbox: Sandbox) -> AsyncIterator[Sandbox]:
    """The sandbox, with no rules and an empty log."""
    await _sandbox.reset()
    yield _sandbox
    await _sandbox.calls_back("http://127.0.0.1:9/webhook")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No settings but those the test makes."""
    monkeypatch.chdir(tmp_path)
    for name in clarion_variables():
        monkeypatch.delenv(name)
    return monkeypatch


@pytest_asyncio.fixture
async def make(vendors: Sandbox, environment: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Makes a provider by its name, for the sandbox but for the settings given; closes it in the end."""
    made: list[Provider] = []

    def _make(name: str, **settings: str) -> Provider:
        for variable, value in {**vendors.environment(), **settings}.items():
            environment.setenv(variable, value)
        made.append(provider_classes()[name]())
        return made[-1]

    yield _make
    for provider in made:
        await provider.close()


@pytest.fixture
def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


@pytest_asyncio.fixture
async def one_answer() -> AsyncIterator[OneAnswer]:
    """Not yet started: call it with status, body and headers."""
    answers = OneAnswer()
    yield answers
    for runner in answers.runners:
        await runner.cleanup()

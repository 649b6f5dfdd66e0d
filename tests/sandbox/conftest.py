"""Fixtures of the sandbox's tests: one sandbox and one receiver a test process, emptied before each test."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sandbox_side import Receiver, Sandbox, receiving, running


@pytest_asyncio.fixture(scope="session")
async def _sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    async with running(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Where webhooks arrive; another place for each test, so that no test gets another's."""
    async with receiving() as receiver:
        yield receiver


@pytest_asyncio.fixture
async def sandbox(_sandbox: Sandbox, receiver: Receiver) -> Sandbox:
    """A sandbox without rules and with an empty log, calling back the receiver."""
    await _sandbox.reset(f"{receiver.url}/webhook")
    return _sandbox

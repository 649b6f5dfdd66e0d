"""Fixtures for who needs all of Clarion: vendors of this test process, and a stage with the settings a test wants."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr
from stage import SetStage, Stage, staged
from vaults import KEYS
from vendor_side import Sandbox, clarion_variables, running_sandbox

from providers import callback
from settings import Settings


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


@pytest_asyncio.fixture
async def set_stage(
    vendors: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    database_url: str,
    redis_url: str,
    temporal_address: str,
    temporal_namespace: str,
) -> AsyncIterator[SetStage]:
    """Call it with changes to the settings; `channels` as in CLARION_CHANNELS. `held`: the test starts the workers."""
    monkeypatch.chdir(tmp_path)
    for name in clarion_variables():
        monkeypatch.delenv(name)
    for name, value in vendors.environment().items():
        monkeypatch.setenv(name, value)
    callback._reader.cache_clear()  # a test before us may have asked it without a secret
    async with AsyncExitStack() as stack:

        async def start(*, held: bool = False, **changes: Any) -> Stage:
            settings = Settings(
                database_url=SecretStr(database_url),
                redis_url=SecretStr(redis_url),
                temporal_address=temporal_address,
                temporal_namespace=temporal_namespace,
                port=0,
                dev=True,
                encryption_keys=SecretStr(KEYS),
                **changes,
            )
            return await stack.enter_async_context(staged(settings, vendors, held=held))

        yield start


@pytest_asyncio.fixture
async def stage(set_stage: SetStage) -> Stage:
    """Clarion with the settings as they come."""
    return await set_stage()

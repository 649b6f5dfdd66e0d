"""The real command line, called as people call it: a process of its own, against what a test has running."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from cli_side import CommandLine
from stage import Stage
from stage_fixtures import _sandbox, set_stage, stage, vendors
from vaults import KEYS

__all__ = ["_sandbox", "set_stage", "stage", "vendors"]


@pytest.fixture
def alone(tmp_path: Path) -> CommandLine:
    """`clarion` in an empty folder, with no settings: nothing runs that it could find."""
    return CommandLine(tmp_path, {})


@pytest.fixture
def clarion(stage: Stage, tmp_path: Path) -> CommandLine:
    """`clarion` for the API on the stage."""
    return CommandLine(tmp_path, {"CLARION_URL": stage.url})


@pytest.fixture
def whereabouts(
    stage: Stage, database_url: str, redis_url: str, temporal_address: str, temporal_namespace: str
) -> Mapping[str, str]:
    """The settings that lead to the stage, its servers and its vendors."""
    return {
        **stage.vendors.environment(),
        "CLARION_URL": stage.url,
        "CLARION_DATABASE_URL": database_url,
        "CLARION_REDIS_URL": redis_url,
        "CLARION_TEMPORAL_ADDRESS": temporal_address,
        "CLARION_TEMPORAL_NAMESPACE": temporal_namespace,
        "CLARION_DEV": "1",
        "CLARION_ENCRYPTION_KEYS": KEYS,
    }

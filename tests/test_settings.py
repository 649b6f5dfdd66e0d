"""Where a setting comes from."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no .env
    monkeypatch.delenv("CLARION_SECRET_KEY", raising=False)


def test_a_file_named_by_the_environment_stands_for_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("from a file\n")
    monkeypatch.setenv("CLARION_SECRET_KEY_FILE", "key")
    assert Settings.load().secret_key == SecretStr("from a file")
    monkeypatch.setenv("CLARION_SECRET_KEY", "from the environment")
    assert Settings.load().secret_key == SecretStr("from the environment")


def test_an_empty_name_of_a_file_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLARION_SECRET_KEY_FILE", "")
    assert Settings.load().secret_key == SecretStr("")


def test_a_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLARION_SECRET_KEY_FILE", "nowhere")
    with pytest.raises(SettingsError, match="CLARION_SECRET_KEY_FILE: cannot read nowhere: No such file"):
        Settings.load()

"""The key of a data folder: made once, for its owner's eyes, the same at every start."""

from pathlib import Path

from pydantic import SecretStr

from ledger.keyring import keyring_of
from settings import Settings
from workers.embedded.encryption_key import encryption_keys


def test_it_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = encryption_keys(tmp_path)
    assert encryption_keys(tmp_path) == first
    assert [file.name for file in tmp_path.iterdir()] == ["encryption-keys"]
    assert (tmp_path / "encryption-keys").stat().st_mode & 0o777 == 0o600
    assert keyring_of(Settings(encryption_keys=SecretStr(first))).ids == ("dev",)
    other = tmp_path / "other"
    other.mkdir()
    assert encryption_keys(other) != first

"""The encryption key of a data folder: made at its first start, and kept beside the rows it protects."""

import os
import tempfile
from pathlib import Path

from ledger.keyring import new_key


def encryption_keys(data_dir: Path) -> str:
    """The setting CLARION_ENCRYPTION_KEYS for this folder, from its file `encryption-keys` (mode 0600)."""
    file = data_dir / "encryption-keys"
    if not file.exists():
        _keep(file, new_key("dev"))
    return file.read_text().strip()


def _keep(file: Path, text: str) -> None:
    """Make it appear at once and whole, and on disk: rows sealed with a key that a power cut took cannot be read."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".encryption-keys-")  # mkstemp makes it 0600
    with os.fdopen(descriptor, "w") as out:
        out.write(f"{text}\n")
        out.flush()
        os.fsync(out.fileno())
    Path(name).replace(file)

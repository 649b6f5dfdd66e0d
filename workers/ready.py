"""How a process without a port tells the supervisor that it works: its pid in the file `CLARION_READY_FILE` names."""

import os
from pathlib import Path

VARIABLE = "CLARION_READY_FILE"


def announce() -> None:
    """Say that this process now does its work. Without the variable, as in production, nothing happens."""
    name = os.environ.get(VARIABLE)
    if name:
        Path(name).write_text(str(os.getpid()))

"""A stack of its own for a measurement: in a temporary folder, on free ports, with no setting of this machine."""

import os
import tempfile
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from settings import Settings
from workers.embedded.output import to_file
from workers.embedded.programs import Programs
from workers.embedded.stack import Stack, running


@asynccontextmanager
async def site(
    log: Path,
    settings: Mapping[str, str] | None = None,
    commands: Programs = Programs(),  # noqa: B008 (frozen)
) -> AsyncGenerator[Stack]:
    """It runs inside the block. `log` takes what the parts write. Raises StackError when it cannot run."""
    with tempfile.TemporaryDirectory(prefix="clarion-bench-") as folder, _alone(folder, settings or {}):
        here = Settings.load().model_copy(update={"data_dir": Path(folder, "data")})
        async with running(here, free_ports=True, sink=to_file(log), commands=commands) as stack:
            yield stack


@contextmanager
def _alone(folder: str, settings: Mapping[str, str]) -> Generator[None]:
    """In a folder without `.env`, and an environment with these settings alone."""
    home, before = Path.cwd(), dict(os.environ)
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith("CLARION_")]:
        del os.environ[name]
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        os.chdir(home)

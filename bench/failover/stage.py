"""A stack whose workers find one vendor behind a forwarder of ours. It knows nothing of this machine's settings."""

import os
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

from bench.failover.cases import POLICY
from bench.failover.forwarder import Forwarder
from settings import Settings
from workers.embedded.output import to_file
from workers.embedded.programs import CLARION, Programs
from workers.embedded.stack import Stack, running


@asynccontextmanager
async def staged(log: Path) -> AsyncGenerator[tuple[Stack, Forwarder]]:
    """Both run inside the block. `log` takes what the parts write. Raises StackError when the stack cannot run."""
    forwarder, home = Forwarder(), Path.cwd()
    _forget_settings()
    os.environ["CLARION_CHANNELS"] = orjson.dumps({"sms": POLICY}).decode()
    with tempfile.TemporaryDirectory(prefix="clarion-failover-") as folder:
        os.chdir(folder)  # where no .env is
        settings = Settings.load().model_copy(update={"data_dir": Path(folder, "data")})
        try:
            async with running(settings, free_ports=True, sink=to_file(log), commands=_through(forwarder)) as stack:
                await forwarder.open(int(stack.addresses.sandbox.rpartition(":")[2]))
                yield stack, forwarder
        finally:
            await forwarder.close()
            os.chdir(home)


def _forget_settings() -> None:
    for name in [name for name in os.environ if name.startswith("CLARION_")]:
        del os.environ[name]


def _through(forwarder: Forwarder) -> Programs:
    # The stack gives every process the sandbox's own address. `env` has the last word, and the data folder it names is
    # another: by that of the stack a worker would take over the stack's variables.
    changes = (f"CLARION_TWILIO_URL=http://127.0.0.1:{forwarder.port}/twilio", "CLARION_DATA_DIR=worker")
    worker = ("env", *changes, *CLARION, "worker", "--queues")
    return Programs(workers=tuple((f"worker-{name}", (*worker, name)) for name in ("high", "rest")))

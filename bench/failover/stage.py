"""A stack whose workers find one vendor behind a forwarder of ours."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

from bench.failover.cases import POLICY
from bench.failover.forwarder import Forwarder
from bench.site import site
from workers.embedded.programs import CLARION, Programs
from workers.embedded.stack import Stack


@asynccontextmanager
async def staged(log: Path) -> AsyncGenerator[tuple[Stack, Forwarder]]:
    """Both run inside the block. `log` takes what the parts write. Raises StackError when the stack cannot run."""
    forwarder, policy = Forwarder(), orjson.dumps({"sms": POLICY}).decode()
    try:
        async with site(log, {"CLARION_CHANNELS": policy}, _through(forwarder)) as stack:
            await forwarder.open(int(stack.addresses.sandbox.rpartition(":")[2]))
            yield stack, forwarder
    finally:
        await forwarder.close()


def _through(forwarder: Forwarder) -> Programs:
    # The stack gives every process the sandbox's own address. `env` has the last word, and the data folder it names is
    # another: by that of the stack a worker would take over the stack's variables.
    changes = (f"CLARION_TWILIO_URL=http://127.0.0.1:{forwarder.port}/twilio", "CLARION_DATA_DIR=worker")
    worker = ("env", *changes, *CLARION, "worker", "--queues")
    return Programs(workers=tuple((f"worker-{name}", (*worker, name)) for name in ("high", "rest")))

"""`python -m bench.standing`: what `clarion dev` runs, on free ports and the folder it stands in, until SIGINT.

Once it is ready it says so in one line of JSON: the process id of each part.
"""

import asyncio
import sys

import orjson

from settings import Settings
from workers.embedded.dev import run_dev
from workers.embedded.dev_key import dev_key
from workers.embedded.stack import Stack


def _tell(stack: Stack) -> None:
    sys.stdout.write(orjson.dumps({name: part.pid for name, part in stack.services.items()}).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(asyncio.run(run_dev(Settings.load(), free_ports=True, on_ready=_tell, key_of=dev_key)))

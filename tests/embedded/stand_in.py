"""Small stand-ins for Clarion's own processes, and the stack that runs them: the servers below them are the real ones.

Run with a role: `api`, `sandbox`, `worker`, or `dev` for the whole stack in the foreground.
"""

import asyncio
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from workers import ready
from workers.embedded.programs import Programs

ROLE = (sys.executable, __file__)

COMMANDS = Programs(
    migrate=(sys.executable, "-c", "print('migrated')"),
    api=(*ROLE, "api"),
    sandbox=(*ROLE, "sandbox"),
    workers=(("worker-high", (*ROLE, "worker")),),
)


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def listen(port: int) -> None:
    HTTPServer(("127.0.0.1", port), Answer).serve_forever()


def work() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("stopping")))  # noqa: T201
    ready.announce()
    while True:
        signal.pause()


def dev(arguments: list[str]) -> int:
    from settings import Settings
    from workers.embedded.dev import run_dev

    return asyncio.run(run_dev(Settings.load(), free_ports="--promised-ports" not in arguments, commands=COMMANDS))


def main(role: str, arguments: list[str]) -> int:
    if role == "dev":
        return dev(arguments)
    if role == "worker":
        work()
    port = int(arguments[arguments.index("--port") + 1]) if role == "sandbox" else int(os.environ["CLARION_PORT"])
    listen(port)
    return 0


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """This process's, without settings that were meant for another Clarion."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLARION_")}
    return {**kept, "CLARION_DATA_DIR": str(data_dir), **settings}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

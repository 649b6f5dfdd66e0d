"""`python -m sandbox`: the sandbox as a process of its own."""

import argparse
import gc
import json
import sys
from pathlib import Path

import uvloop

from sandbox.server import Place, serve


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Vendors to play with.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8025, help="HTTP; 0: a free one (default: %(default)s)")
    parser.add_argument("--smtp-port", type=int, default=8026, help="0: a free one (default: %(default)s)")
    parser.add_argument("--data-dir", type=Path, default=Path(".clarion/sandbox"), help="default: %(default)s")
    parser.add_argument("--callback-url", default="http://127.0.0.1:8000/webhook", help="default: %(default)s")
    return parser.parse_args()


def _announce(port: int, smtp_port: int) -> None:
    gc.freeze()
    sys.stdout.write(json.dumps({"port": port, "smtp_port": smtp_port}) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run until told to stop. 2: it could not start."""
    given = _arguments()
    place = Place(given.host, given.port, given.smtp_port, given.data_dir, given.callback_url)
    try:
        uvloop.run(serve(place, _announce))
    except OSError as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

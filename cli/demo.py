"""`clarion demo`: the whole system in a folder of its own, one notification through it, and its timeline."""

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import options, output
from cli.errors import Failure

if TYPE_CHECKING:
    from cli.stage import Stage

_MESSAGE = {"subject": "Hello from Clarion", "title": "Hello", "text": "Hello Polyglot World!"}
_RECIPIENT = {"id": "ada", "email": "ada@example.com", "phone": "+14155550123", "push_token": "adas-phone"}
_REPORTING = {"email": "sendgrid", "sms": "twilio"}  # who sends receipts; for push `sent` is all there will be
_RECEIPT_AFTER = 1.0  # seconds: at once, it may overtake the vendor's own answer, which is harmless but odd to watch
_ARRIVES_WITHIN = 60.0  # seconds
_LOOK_EVERY = 0.2

# Where the servers' programs are may be said; nothing else of this machine's settings shall change what is shown.
_KEPT = {"CLARION_POSTGRES_BIN", "CLARION_VALKEY_BIN", "CLARION_TEMPORAL_BIN"}


def demo(
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what every part writes.")] = False,
    as_json: options.Json = False,
) -> None:
    """Send one notification by every channel to sandbox vendors.

    Starts PostgreSQL, Valkey, Temporal, the vendors, the API and the workers on free ports in a temporary folder, waits
    for the signed receipts, and stops everything. Nothing leaves this machine. Exit code 0 only if all of it
    was delivered.
    """
    folder = Path(tempfile.mkdtemp(prefix="clarion-demo-"))
    log = folder / "demo.log"
    _forget_settings(folder)
    try:
        status = asyncio.run(_shown(folder, log, verbose=verbose, as_json=as_json))
    except (KeyboardInterrupt, asyncio.CancelledError):  # Ctrl-C before there was a stage to stop, and after
        shutil.rmtree(folder, ignore_errors=True)
        raise KeyboardInterrupt from None
    except Failure as failure:
        raise Failure(
            f"{str(failure).rstrip('.')}. What every part wrote is in {log}", exit_code=failure.exit_code
        ) from None
    missing = undelivered(status)
    if missing:
        raise Failure(f"Not all of it arrived: {', '.join(missing)}. What every part wrote is in {log}")
    shutil.rmtree(folder, ignore_errors=True)


def undelivered(status: dict[str, Any]) -> list[str]:
    """The channels that have not ended as they should, with what happened instead; none: the demo is a success."""
    ends = {delivery["channel"]: _end(delivery) for delivery in status["deliveries"]}
    wanted = dict.fromkeys(_REPORTING, "DELIVERED by a receipt") | {"push": "SENT"}
    return [f"{channel} is {ends.get(channel)}" for channel in sorted(wanted) if ends.get(channel) != wanted[channel]]


def _end(delivery: dict[str, Any]) -> str:
    reported = any(event["step"] == "receipt" and event["to"] == "DELIVERED" for event in delivery["events"])
    return f"{delivery['status']} by a receipt" if reported else delivery["status"]


async def _shown(folder: Path, log: Path, *, verbose: bool, as_json: bool) -> dict[str, Any]:
    """Start, send, wait, print the timeline, stop. Raises Failure."""
    from cli.stage import Stage

    stage = Stage(folder / "data", log, verbose=verbose)
    async with stage.running() as (url, vendors):
        await asyncio.to_thread(_slow_down, vendors)
        status = await _sent(stage, url)
        if as_json:
            output.document(status)
        else:
            _tell(status)
    return status


def _slow_down(vendors: str) -> None:
    """Have the sandbox's receipts come as late as real ones."""
    from cli.client import Api

    with Api(vendors, None) as sandbox:
        for vendor in _REPORTING.values():
            sandbox.call("PUT", f"/control/{vendor}", {"rules": [{"receipt": {"delay": _RECEIPT_AFTER}}]})


async def _sent(stage: "Stage", url: str) -> dict[str, Any]:
    """Send the notification; its status once it has ended or the time is up."""
    from cli.client import Api
    from cli.timeline import ENDS
    from cli.watching import read

    body = {"channels": ["email", "sms", "push"], "recipients": [_RECIPIENT], "message": _MESSAGE}
    stage.says("Sending one notification by email, SMS and push")
    with Api(url, None) as api:
        taken = await asyncio.to_thread(api.call, "POST", "/notify", body)
        deadline = asyncio.get_running_loop().time() + _ARRIVES_WITHIN
        while True:
            status = await asyncio.to_thread(read, api, taken["id"], events=True)
            late = asyncio.get_running_loop().time() > deadline
            if late or status["status"] in ENDS:
                return status
            await asyncio.sleep(_LOOK_EVERY)


def _tell(status: dict[str, Any]) -> None:
    if output.on_terminal():
        from cli.picture import show

        show(status, events=True)
    else:
        from cli.timeline import told

        output.say(f"{status['notification_id']} {status['status']}")
        for line in told(status):
            output.say(line)
    sys.stdout.flush()


def _forget_settings(folder: Path) -> None:
    """Go where no `.env` is, and leave this machine's settings behind."""
    for name in [name for name in os.environ if name.startswith("CLARION_") and name not in _KEPT]:
        del os.environ[name]
    os.chdir(folder)

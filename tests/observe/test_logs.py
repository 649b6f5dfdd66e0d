"""Logs as an operator gets them: real processes, read from their standard error."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PRIVATE = ["ada@example.com", "+14155550100", "tok-123", "Your code is 42", "sk_live"]

SAYS = """
import logging, sys
from observe import logs
logs.configure({level!r}, {format!r})
log = logs.get("here")
with logs.bound(request_id="r-1", tenant="t-1"):
    log.info("taken", batch="b-1", to="ada@example.com", recipient={{"Phone": "+14155550100", "id": 7}},
             headers={{"Authorization": "sk_live", "X-Request-Id": "r-1"}}, text="Your code is 42")
log.debug("detail", n=1)
logging.getLogger("uvicorn.error").warning("no such user ada@example.com")
logging.getLogger("temporalio.worker").debug("body: Your code is 42")
logging.getLogger("odd").log(25, "between the levels")
try:
    token = "tok-123"
    raise ValueError("cannot send to +14155550100")
except ValueError:
    log.exception("failed", tried=[("ada@example.com", 1)])
"""


def said(level: str = "info", format: str = "json", script: str = SAYS) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script.format(level=level, format=format)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr


def test_json_has_one_object_a_line_with_bound_ids() -> None:
    lines = [json.loads(line) for line in said().splitlines()]

    taken = lines[0]
    assert taken["event"] == "taken"
    assert taken["level"] == "info"
    assert taken["logger_name"] == "here"
    assert (taken["request_id"], taken["tenant"], taken["batch"]) == ("r-1", "t-1", "b-1")
    assert taken["recipient"] == {"Phone": "[hidden]", "id": 7}
    assert "request_id" not in lines[1]


def test_libraries_take_the_same_path() -> None:
    lines = {line["logger_name"]: line for line in map(json.loads, said().splitlines())}

    assert lines["uvicorn.error"]["event"] == "no such user [hidden]"
    assert lines["odd"]["level"] == "info"
    assert "temporalio.worker" not in lines


def test_nothing_personal_is_printed_in_any_form() -> None:
    for level in ("debug", "info"):
        for format in ("json", "text"):
            printed = said(level, format)
            assert "ValueError" in printed
            assert [word for word in PRIVATE if word in printed] == []


def test_levels_hide_what_lies_below() -> None:
    assert '"detail"' in said("debug")
    assert '"detail"' not in said("info")
    assert '"taken"' not in said("error")


def test_libraries_stay_at_info_when_we_debug() -> None:
    assert "body:" not in said("debug")


def test_auto_means_json_in_a_pipe_and_colours_on_a_terminal() -> None:
    assert all(json.loads(line) for line in said(format="auto").splitlines())

    ours, theirs = pty.openpty()
    try:
        script = SAYS.format(level="info", format="auto")
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, stderr=theirs, timeout=60, check=True)
        seen = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "\x1b[" in seen
    assert "taken" in seen


def test_a_wrong_level_is_one_clear_line() -> None:
    script = """
from observe import logs
from settings import SettingsError
import sys
try:
    logs.configure("loud", "json")
except SettingsError as error:
    print(error, file=sys.stderr)
"""
    assert said(script=script) == "CLARION_LOG_LEVEL: 'loud' is none of debug, info, warning, error\n"


def test_a_closed_pipe_does_not_stop_the_work() -> None:
    script = SAYS.format(level="info", format="json") + "\nprint('done')"
    reader, writer = os.pipe()
    os.close(reader)
    try:
        # Python exits with 120 when it cannot flush its standard streams at the end; the work itself went through.
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=writer, timeout=60, check=False
        )
    finally:
        os.close(writer)
    assert done.stdout == b"done\n"

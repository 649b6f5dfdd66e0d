"""`clarion` as people and programs call it: its exit code and what it printed, in a pipe or on a terminal."""

import asyncio
import io
import json
import os
import pty
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cli.main import run

CLARION = (sys.executable, "-m", "cli.main")
WITHIN = 200.0  # against a command that hangs; a busy slow machine takes more than a minute for a whole demo


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, one JSON document."""
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        """Its output, a JSON document a line."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class CommandLine:
    """Calls `clarion` in a folder, with these settings and no others."""

    folder: Path
    settings: Mapping[str, str]

    def knowing(self, **settings: str) -> "CommandLine":
        """The same with more settings."""
        return replace(self, settings={**self.settings, **settings})

    async def __call__(self, *arguments: str, stdin: str = "") -> Result:
        """Run it to its end in a thread of this process, as `main` does: most of a short process's time is imports."""
        return await asyncio.to_thread(self._run, arguments, stdin)

    def _run(self, arguments: Sequence[str], stdin: str) -> Result:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            patch.chdir(self.folder)
            for name in [name for name in os.environ if name.startswith("CLARION_")]:
                patch.delenv(name)
            for name, value in self.settings.items():
                patch.setenv(name, value)
            return Result(run(list(arguments)), out.getvalue(), err.getvalue())

    async def process(self, *arguments: str, stdin: str | None = None) -> Result:
        """Run it to its end as a process, its output in pipes."""
        process = await self.start(*arguments)
        async with asyncio.timeout(WITHIN):
            out, err = await process.communicate(stdin.encode() if stdin is not None else None)
        return Result(process.returncode or 0, out.decode(), err.decode())

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Begin it, its input and output in pipes."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *CLARION, *arguments, cwd=self.folder, env=self._environment(), stdin=pipe, stdout=pipe, stderr=pipe
        )

    async def until(self, process: asyncio.subprocess.Process, text: str) -> str:
        """Read its output until this was in it. Returns all that was read."""
        assert process.stdout
        printed = ""
        async with asyncio.timeout(WITHIN):
            while text not in printed:
                line = await process.stdout.readline()
                assert line, f"it ended before it said {text!r}:\n{printed}"
                printed += line.decode()
        return printed

    async def interrupted(self, process: asyncio.subprocess.Process) -> Result:
        """Ctrl-C, and how it took it."""
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(WITHIN):
            out, err = await process.communicate()
        return Result(process.returncode or 0, out.decode(), err.decode())

    async def on_terminal(self, *arguments: str, keys: str = "") -> Result:
        """Run it to its end on a terminal of 120 columns, where a person types `keys`."""
        ours, theirs = pty.openpty()
        try:
            process = await asyncio.create_subprocess_exec(
                *CLARION,
                *arguments,
                cwd=self.folder,
                env={**self._environment(), "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "50"},
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
            )
        finally:
            os.close(theirs)
        os.write(ours, keys.encode())
        async with asyncio.timeout(WITHIN):
            shown = await asyncio.to_thread(_all_of, ours)
            code = await process.wait()
        return Result(code, shown, "")

    def _environment(self) -> dict[str, str]:
        others = {name: value for name, value in os.environ.items() if not name.startswith("CLARION_")}
        return {**others, **self.settings}


def _all_of(terminal: int) -> str:
    """Everything written until nobody holds the other end: then Linux raises EIO and macOS says the end."""
    shown = b""
    with suppress(OSError):
        while chunk := os.read(terminal, 65_536):
            shown += chunk
    os.close(terminal)
    return shown.decode()

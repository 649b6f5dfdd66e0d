"""One part of the stack while it runs: started, watched, started again when it dies, stopped."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from workers.embedded.errors import StackError
from workers.embedded.lines import LinePipe
from workers.embedded.service import Service, Sink

QUICK = 10.0
"""Seconds; a life shorter than this is a quick death."""

BACKOFF = (0.2, 0.4, 0.8, 1.6, 3.2)
"""Seconds before each new start after quick deaths in a row; after the last one we give up.

Together more than the 5 s a killed PostgreSQL's children may hold its lock file.
"""

PAUSE = 0.05
"""Seconds between two probes."""

LAUNCHER = Path(__file__).with_name("launch.py")


def launched(argv: tuple[str, ...], *, user: str | None, orphan_signal: signal.Signals, nice: int = 0) -> list[str]:
    """The command that runs `argv` bound to this process's life, as `user` when we are root, giving way by `nice`."""
    become = user if user and os.geteuid() == 0 else "-"
    bound = (str(os.getpid()), str(int(orphan_signal)), become, str(nice))
    return [sys.executable, "-I", "-S", str(LAUNCHER), *bound, *argv]


class Part:
    """A service that is kept running. `pid` is that of its present life, None between lives."""

    def __init__(self, service: Service, sink: Sink, born: Callable[["Part"], None] = lambda part: None) -> None:
        self.service = service
        self.ready = asyncio.Event()
        self._sink = sink
        self._born = born
        self._retired = asyncio.Event()
        self._why_not_ready = "it never answered"
        self._process: asyncio.subprocess.Process | None = None
        self._pipe: LinePipe | None = None
        self.keeper: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    @property
    def pid(self) -> int | None:
        """The process id while it lives."""
        alive = self._process and self._process.returncode is None
        return self._process.pid if self._process and alive else None

    async def start(self) -> None:
        """Return when it is ready. Raises StackError when it keeps dying or is not ready in time."""
        self._pipe = await LinePipe.open(self.say)
        self.keeper = asyncio.create_task(self._keep_running(self._pipe))
        ready = asyncio.create_task(self.ready.wait())
        try:
            limit = self.service.start_within
            await asyncio.wait({self.keeper, ready}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self.keeper.done():
            self.keeper.result()
        if not self.ready.is_set():
            raise StackError(f"{self.name} was not ready within {limit:g} s: {self._why_not_ready}", exit_code=1)

    def retire(self) -> None:
        """From now on its death is no reason to start it again."""
        self._retired.set()

    async def stop(self) -> None:
        """Ask it to end, wait for its grace, then kill it."""
        self.retire()
        self._ask_to_end()
        if self.keeper:
            await asyncio.wait({self.keeper}, timeout=self.service.grace)
            if not self.keeper.done():
                self.say(f"did not end within {self.service.grace:g} s: killed")
                self.kill()
            await asyncio.gather(self.keeper, return_exceptions=True)
        if self._pipe:
            await self._pipe.close()
            self._pipe = None

    def kill(self) -> None:
        """End it and its process group at once, if it lives."""
        if self.pid:
            _kill_group(self.pid)

    def say(self, line: str) -> None:
        """Put a line into the log under this part's name."""
        self._sink(self.name, line)

    def _ask_to_end(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.send_signal(self.service.stop_signal)

    async def _keep_running(self, pipe: LinePipe) -> None:
        loop = asyncio.get_running_loop()
        quick_deaths = 0
        while True:
            started = loop.time()
            code = await self._live(pipe)
            if self._retired.is_set():
                return
            quick_deaths = quick_deaths + 1 if loop.time() - started < QUICK else 1
            if quick_deaths > len(BACKOFF):
                raise StackError(self._gave_up(code, quick_deaths, pipe), exit_code=1)
            pause = BACKOFF[quick_deaths - 1]
            self.say(f"ended unasked ({_ending(code)}); starting it again in {pause:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._retired.wait(), pause)
                return

    async def _live(self, pipe: LinePipe) -> int:
        """One life, from its start to its end; the exit code."""
        self.ready.clear()
        service = self.service
        self._process = await asyncio.create_subprocess_exec(
            *launched(service.argv, user=service.user, orphan_signal=service.orphan_signal, nice=service.nice),
            env=dict(service.env),
            cwd=service.cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe.write_end,
            stderr=pipe.write_end,
            start_new_session=True,
        )
        self._born(self)
        if self._retired.is_set():
            self._ask_to_end()
        becoming_ready = asyncio.create_task(self._become_ready())
        try:
            return await self._process.wait()
        finally:
            becoming_ready.cancel()
            _kill_group(self._process.pid)

    async def _become_ready(self) -> None:
        """Ask until it answers; a life that has not answered in time is killed, and so started again."""
        try:
            async with asyncio.timeout(self.service.start_within):
                while not await self._answers():  # noqa: ASYNC110 (a server elsewhere has no event to wait for)
                    await asyncio.sleep(PAUSE)
        except TimeoutError:
            self.say(f"not ready after {self.service.start_within:g} s ({self._why_not_ready}): killed")
            self.kill()
        else:
            self.ready.set()
            self.say("ready")

    async def _answers(self) -> bool:
        try:
            await self.service.ready()
        except TimeoutError:
            self._why_not_ready = "no answer in time"
            return False
        except Exception as error:
            # Whatever a driver raises while its server is not there yet means the same: not ready.
            self._why_not_ready = str(error) or type(error).__name__
            return False
        return True

    def _gave_up(self, code: int, deaths: int, pipe: LinePipe) -> str:
        said = " | ".join(pipe.lines.last)
        return f"{self.name} ended {deaths} times soon after its start, at last with {_ending(code)}: {said}"


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

"""What the supervisor needs to know about one part of the stack."""

import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Probe = Callable[[], Awaitable[None]]
"""Talks to the part as a client would; raises any exception while the part is not ready."""

Sink = Callable[[str, str], None]
"""Takes the name of a part and one line it wrote."""


@dataclass(frozen=True)
class Service:
    """A program that runs until it is stopped.

    `user`: whom to become when we are root. `stop_signal`: what asks it to end; after `grace` seconds it is killed.
    `orphan_signal`: what Linux sends it when the supervisor dies. `start_within`: seconds until its probe must pass.
    `nice`: how far it gives way to the other parts where they all want the processor.
    """

    name: str
    argv: tuple[str, ...]
    ready: Probe
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path | None = None
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0
    orphan_signal: signal.Signals = signal.SIGKILL
    start_within: float = 60.0
    nice: int = 0

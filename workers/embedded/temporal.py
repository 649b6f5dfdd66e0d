"""Temporal's development server as a part of the stack, keeping its state in a file."""

from dataclasses import dataclass
from pathlib import Path

from workers.embedded import binaries, probes
from workers.embedded.service import Service

DYNAMIC_CONFIG = {
    # Off by default; without it priority and fairness keys of a queue are ignored (decision 0007).
    "matching.enableFairness": "true",
    # Both act within a partition of a queue.
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    # The default of 2,400 calls a second is for a shared cluster; this server has one tenant.
    "frontend.namespaceRPS": "100000",
    # Between a task's birth and its queue's next reading; with the default of 20 a second each step of a run waits for
    # 25 ms, and a lone message 100 ms for its claim (20 with this).
    "history.transferProcessorMaxPollRPS": "200",
    # Runs kept in memory, some 60 kB each. The default of 128,000 is never reached here: memory would grow for days.
    "history.hostLevelCacheMaxSize": "512",
}


@dataclass(frozen=True)
class Ports:
    """Where the server listens: gRPC for clients, JSON over HTTP for the probe, metrics, and the Web UI if wanted."""

    frontend: int
    http: int
    metrics: int
    ui: int | None = None


class Temporal:
    """A Temporal server below `data_dir`, or one that forgets everything when `data_dir` is None."""

    def __init__(self, data_dir: Path | None, ports: Ports) -> None:
        self._data = data_dir / "temporal" if data_dir else None
        self._ports = ports

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self._ports.frontend}"

    @property
    def ui_url(self) -> str | None:
        """The Web UI's address, None when it is switched off."""
        return f"http://127.0.0.1:{self._ports.ui}" if self._ports.ui else None

    def service(self) -> Service:
        """The server, ready when it can describe its namespace."""
        return Service(
            name="temporal",
            argv=(str(binaries.temporal()), "server", "start-dev", *self._options()),
            ready=self._describes_its_namespace,
            grace=15.0,
        )

    def _options(self) -> tuple[str, ...]:
        ports = self._ports
        listen = ("--ip", "127.0.0.1", "--port", str(ports.frontend), "--http-port", str(ports.http))
        watch = ("--metrics-port", str(ports.metrics), *(("--ui-port", str(ports.ui)) if ports.ui else ("--headless",)))
        config = [
            word for key, value in DYNAMIC_CONFIG.items() for word in ("--dynamic-config-value", f"{key}={value}")
        ]
        # At each stop it warns about its own pollers, several lines long: only errors are worth a line here.
        return (*listen, *watch, *self._storage(), *config, "--ui-disable-news-fetch", "--log-level", "error")

    def _storage(self) -> tuple[str, ...]:
        if self._data is None:
            return ()
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        # 2.4 times the speed of the default; kill -9 under load lost nothing (decision 0008).
        pragmas = ("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL")
        return ("--db-filename", str(self._data / "temporal.db"), *pragmas)

    async def _describes_its_namespace(self) -> None:
        await probes.http("127.0.0.1", self._ports.http, "/api/v1/namespaces/default")
        await probes.tcp("127.0.0.1", self._ports.frontend)

"""Valkey as a part of the stack."""

from pathlib import Path

from workers.embedded import binaries, probes
from workers.embedded.service import Service


class Valkey:
    """A Valkey below `data_dir`, on a port of the loopback."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self._data = data_dir / "valkey"
        self._port = port

    @property
    def url(self) -> str:
        """How clients connect."""
        return f"redis://127.0.0.1:{self._port}/0"

    def service(self) -> Service:
        """The server; its append-only file is synced every second, so at most that much is lost with the machine."""
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        options = {
            "port": str(self._port),
            "bind": "127.0.0.1",
            "dir": str(self._data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "loglevel": "warning",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return Service(
            name="valkey",
            argv=(str(binaries.valkey()), *words),
            ready=lambda: probes.redis("127.0.0.1", self._port),
        )

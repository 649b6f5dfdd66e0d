"""PostgreSQL as a part of the stack: its data folder, its settings, its database."""

import asyncio
import os
import pwd
import secrets
import shutil
import signal
from pathlib import Path

from workers.embedded import binaries, probes
from workers.embedded.errors import StackError
from workers.embedded.part import launched
from workers.embedded.service import Service

USER = "clarion"
DATABASE = "clarion"

SETTINGS = {
    # A 202 means committed (decision 0003): with either of the first two off, kill -9 loses acknowledged commits.
    "fsync": "on",
    "synchronous_commit": "on",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    # A burst should not meet a checkpoint, nor write more than it must after one.
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "jit": "off",
    "shared_preload_libraries": "pg_stat_statements",
    "log_checkpoints": "off",
    "log_line_prefix": "",
}

# Left alone, glibc keeps for later what a connection's largest statement took, and more with each larger one: after
# 400,000 deliveries that was 60 MB of the server's memory. What is set is not adjusted. Elsewhere they mean nothing.
_GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}  # bytes, as glibc begins


class Postgres:
    """A PostgreSQL below `data_dir`, on a port of the loopback, with a password of its own."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self._data = data_dir / "postgres"
        self._password_file = data_dir / "postgres-password"
        self._port = port
        # PostgreSQL refuses to run as root.
        self._user = "nobody" if os.geteuid() == 0 else None

    @property
    def url(self) -> str:
        """How clients connect to Clarion's database, with the password."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The same for another database of this server."""
        password = self._password_file.read_text().strip()
        return f"postgresql://{USER}:{password}@127.0.0.1:{self._port}/{database}"

    async def initialise(self) -> None:
        """Make the data folder if there is none. Killed half-way, it leaves nothing that counts as one."""
        if self._data.exists():
            return
        draft = self._data.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self._password_file.unlink(missing_ok=True)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(secrets.token_urlsafe(24))
        self._hand_over(draft, self._password_file)
        await self._run_initdb(draft)
        draft.rename(self._data)

    def service(self) -> Service:
        """The server, stopped by SIGINT: SIGTERM would wait for every client to leave."""
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        return Service(
            name="postgres",
            argv=(str(binaries.postgres() / "postgres"), "-D", str(self._data), "-p", str(self._port), *settings),
            ready=lambda: probes.postgres(self.url_of("postgres")),
            env=_GIVES_BACK | _environment(),
            cwd=Path("/"),
            user=self._user,
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGINT,
        )

    async def create_database(self) -> None:
        """Make Clarion's database if it is not there yet."""
        import asyncpg

        connection = await asyncpg.connect(self.url_of("postgres"))
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    def _hand_over(self, *paths: Path) -> None:
        if self._user:
            entry = pwd.getpwnam(self._user)
            for path in paths:
                os.chown(path, entry.pw_uid, entry.pw_gid)

    async def _run_initdb(self, folder: Path) -> None:
        argv = (
            *(str(binaries.postgres() / "initdb"), "-D", str(folder), "-U", USER, "-E", "UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            *("-A", "scram-sha-256", f"--pwfile={self._password_file}"),
        )
        process = await asyncio.create_subprocess_exec(
            *launched(argv, user=self._user, orphan_signal=signal.SIGKILL),
            cwd="/",
            env=_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        said, _ = await process.communicate()
        if process.returncode != 0:
            last = " | ".join(said.decode(errors="replace").strip().splitlines()[-3:])
            raise StackError(f"PostgreSQL could not make its data folder {folder}: {last}", exit_code=1)


async def require_durable(url: str) -> None:
    """Raise StackError unless this server keeps what it has acknowledged (decision 0003)."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        for name in ("fsync", "synchronous_commit"):
            if await connection.fetchval("SELECT current_setting($1)", name) == "off":
                raise StackError(f"PostgreSQL runs with {name}=off, so accepted messages could be lost: turn it on.")
    finally:
        await connection.close()


def _environment() -> dict[str, str]:
    """Ours without PG…: a PGDATA or PGPORT of the user's shell is not meant for this server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}

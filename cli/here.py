"""Where the API and the servers are: by the environment, by `.env`, or by the stack that runs on this data folder.

Client commands ask here and not in `settings`, whose imports would cost them half a second.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import WRONG, Failure

if TYPE_CHECKING:
    from settings import Settings

DEFAULT_URL = "http://127.0.0.1:8000"

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (listened on there, called here)


def api_url(option: str | None) -> str:
    """The API's base URL: the option, CLARION_URL, the stack running here, or the default of `clarion dev`."""
    return (option or given("CLARION_URL") or _url_of_stack() or DEFAULT_URL).rstrip("/")


def api_key() -> str | None:
    """CLARION_API_KEY, also from the file CLARION_API_KEY_FILE. `clarion dev` needs none. Raises Failure."""
    return given("CLARION_API_KEY")


def given(name: str) -> str | None:
    """A variable, the content of the file `{name}_FILE` names, or a line of `.env`. Empty is unset. Raises Failure."""
    if value := os.environ.get(name):
        return value
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text().strip() or None
        except OSError as error:
            raise Failure(f"{name}_FILE: cannot read {path}: {error.strerror}.", exit_code=WRONG) from None
    return _dotenv().get(name) or None


def operator_settings() -> "Settings":
    """Settings for commands that talk to the servers themselves. Raises SettingsError.

    Where no database is named, the stack that runs on this data folder is meant: then all its variables are taken over,
    those of its sandbox vendors too. It is used whole or not at all, so that nothing of two installations mixes.
    """
    from settings import Settings

    settings, stack = Settings.load(), stack_environment()
    named = settings.database_url.get_secret_value() if settings.database_url else None
    if not stack or named not in {None, stack.get("CLARION_DATABASE_URL")}:
        return settings
    os.environ.update(stack)
    return Settings.load()


def stack_environment() -> dict[str, str]:
    """The variables of the stack running on CLARION_DATA_DIR; empty when none runs."""
    from workers.embedded.record import environment_of

    return environment_of(Path(given("CLARION_DATA_DIR") or ".clarion"))


def _url_of_stack() -> str | None:
    stack = stack_environment()
    if "CLARION_PORT" not in stack:
        return None
    host = stack.get("CLARION_HOST", "127.0.0.1")
    host = _EVERYWHERE.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{stack['CLARION_PORT']}"


def _dotenv() -> dict[str, str | None]:
    if not Path(".env").is_file():
        return {}
    from dotenv import dotenv_values

    return dict(dotenv_values(".env"))

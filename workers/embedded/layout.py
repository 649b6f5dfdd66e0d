"""Which port each part of one stack gets, and where the outside finds it."""

from dataclasses import dataclass
from pathlib import Path

from settings import Settings
from workers.embedded import ports, temporal

POSTGRES, VALKEY, TEMPORAL, TEMPORAL_UI, SANDBOX, SMTP = 15432, 16379, 7233, 8233, 8025, 8026


@dataclass(frozen=True)
class Ports:
    """A port for every part, one for each API."""

    apis: tuple[int, ...]
    sandbox: int
    smtp: int
    postgres: int
    valkey: int
    temporal: temporal.Ports


@dataclass(frozen=True)
class Addresses:
    """Where everything is. `temporal_ui` is None when Temporal runs elsewhere. `apis`: all of them, `api` the first."""

    apis: tuple[str, ...]
    sandbox: str
    smtp_port: int
    database_url: str
    redis_url: str
    temporal_address: str
    temporal_ui: str | None
    data_dir: Path

    @property
    def api(self) -> str:
        """The API that vendors report to."""
        return self.apis[0]


def any_ports(apis: int) -> Ports:
    """Free ones for all, so that a second stack never meets the first."""
    sandbox, smtp, postgres, valkey, frontend, http, metrics, ui, *rest = ports.free_ports(8 + apis)
    return Ports(tuple(rest), sandbox, smtp, postgres, valkey, temporal.Ports(frontend, http, metrics, ui))


def promised_ports(settings: Settings, apis: int) -> Ports:
    """The documented ones. Raises StackError when one that users rely on is taken; the others may move."""
    promised = [
        ("the API", settings.port, "choose another with CLARION_PORT"),
        ("the sandbox", SANDBOX, "run `make demo`, which takes free ports"),
    ]
    if settings.temporal_address is None:
        promised.append(
            ("the Temporal Web UI", TEMPORAL_UI, "use a Temporal of your own with CLARION_TEMPORAL_ADDRESS")
        )
    for what, port, way_out in promised:
        ports.require_free(what, port, way_out, settings.host if port == settings.port else "127.0.0.1")
    free = any_ports(apis)
    return Ports(
        apis=(settings.port or free.apis[0], *free.apis[1:]),
        sandbox=SANDBOX,
        smtp=ports.preferred(SMTP),
        postgres=ports.preferred(POSTGRES),
        valkey=ports.preferred(VALKEY),
        temporal=temporal.Ports(
            frontend=ports.preferred(TEMPORAL), http=free.temporal.http, metrics=free.temporal.metrics, ui=TEMPORAL_UI
        ),
    )

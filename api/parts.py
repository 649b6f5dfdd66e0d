"""What the handlers of one API process need."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from api.auth import Auth
from api.hearing import Hearing
from api.lanes import Lanes
from api.probes import Probes
from api.terms import Terms
from domain.channels import Channels
from ledger.database import Database
from providers.base import Provider
from runs import Runs
from settings import Settings
from throttle.opened import Gates


@dataclass(frozen=True)
class Parts:
    """Made once, by whoever starts the process; `auth` and `probes` follow from the rest."""

    db: Database
    runs: Runs
    channels: Channels
    providers: Mapping[str, Provider]
    left_out: Mapping[str, str]  # providers that are not set up, and what is missing
    settings: Settings
    terms: Terms
    lanes: Lanes
    hearing: Hearing
    gates: Gates
    auth: Auth = field(init=False)
    probes: Probes = field(init=False)

    def __post_init__(self) -> None:
        """Complete what follows from the rest."""
        object.__setattr__(self, "auth", Auth(self.db, dev=self.settings.dev))
        object.__setattr__(self, "probes", Probes(self.db, self.settings))

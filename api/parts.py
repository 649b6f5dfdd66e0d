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
from ledger.scoped import Ledgers
from providers.base import Provider
from runs import Runs
from settings import Settings
from throttle.opened import Gates


@dataclass(frozen=True)
class Parts:
    """Made once, by whoever starts the process; `auth` and `probes` follow from the rest.

    Whatever is one tenant's is read by `reading` and changed by `changing` (decision 0025); `db` is for what is not.
    """

    ledgers: Ledgers
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

    @property
    def db(self) -> Database:
        """For what is of no one tenant: keys, providers, how much waits. It sees every tenant's deliveries."""
        return self.ledgers.operate

    def reading(self, tenant: str | None) -> Database:
        """Where this tenant's things are looked up: nothing of others is there. None: an operator asks, about all."""
        return self.ledgers.reading(tenant)

    def changing(self, tenant: str | None) -> Database:
        """The same for changes at a tenant's wish."""
        return self.ledgers.changing(tenant)

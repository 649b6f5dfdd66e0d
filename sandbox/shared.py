"""What all vendors of one sandbox share."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.credentials import Credentials
from sandbox.journal import Journal
from sandbox.postman import Postman


@dataclass(slots=True)
class Shared:
    """Accounts, log, webhooks, counts. `callback_url` may change while running.

    `generation` grows when everything is forgotten: reports planned before that are not posted any more.
    """

    data_dir: Path
    credentials: Credentials
    journal: Journal
    postman: Postman
    callback_url: str
    generation: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])

    def forget(self) -> None:
        """Empty the log and the counts, drop the reports that are planned. Rules and subscriptions stay."""
        self.generation += 1
        self.journal.empty()
        self.postman.forget()
        self.refused.clear()

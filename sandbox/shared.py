"""What all vendors of one sandbox share."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.credentials import Credentials
from sandbox.journal import Journal
from sandbox.postman import Postman


@dataclass(slots=True)
class Shared:
    """Accounts, log, webhooks, counts. `callback_url` may change while running."""

    data_dir: Path
    credentials: Credentials
    journal: Journal
    postman: Postman
    callback_url: str
    refused: Counter[str] = field(default_factory=Counter[str])

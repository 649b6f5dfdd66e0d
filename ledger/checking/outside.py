"""What others say: the ids a load was given, and the messages the vendors took. Read from files, in bounded memory."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from domain.ids import DeliveryId, SendKey
from ledger.checking.judging import Take

_LINES = 5000  # read, and inserted, at once


def accepted_ids(file: Path) -> Iterator[list[UUID]]:
    """Ids some thousands at a time: the last word of each line. Raises OSError, and ValueError for what is no id."""
    for lines in _portions(file):
        yield [_id(file, line.split()[-1].decode()) for line in lines if line.strip()]


class Takes:
    """The sandbox's log, in a temporary database of its own (SQLite removes it), so that any length of it fits.

    A context manager. Raises OSError, and ValueError for a line that is none of the sandbox's.
    """

    def __init__(self, log: Path) -> None:
        self._db = sqlite3.connect("")
        self._db.execute("CREATE TABLE take (batch TEXT, seq INTEGER, key_no INTEGER, at REAL)")
        for lines in _portions(log):
            self._db.executemany("INSERT INTO take VALUES (?, ?, ?, ?)", [_row(log, line) for line in lines])
        self._db.execute("CREATE INDEX of_batch ON take (batch)")

    def __enter__(self) -> "Takes":
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def __len__(self) -> int:
        return self._db.execute("SELECT count(*) FROM take").fetchone()[0]

    def of(self, batches: Sequence[UUID]) -> dict[DeliveryId, list[Take]]:
        """What was taken of these batches, by delivery, oldest first."""
        found: dict[DeliveryId, list[Take]] = {}
        for batch in batches:
            rows = self._db.execute("SELECT seq, key_no, at FROM take WHERE batch = ? ORDER BY at", (str(batch),))
            for seq, key_no, at in rows:
                found.setdefault(DeliveryId(batch, seq), []).append(Take(key_no, datetime.fromtimestamp(at, UTC)))
        return found

    def batches(self) -> Iterator[list[UUID]]:
        """Every batch something was taken of, some thousands at a time."""
        last = ""
        while rows := self._db.execute(
            "SELECT DISTINCT batch FROM take WHERE batch > ? ORDER BY batch LIMIT ?", (last, _LINES)
        ).fetchall():
            yield [UUID(row[0]) for row in rows]
            last = rows[-1][0]


@dataclass(frozen=True, slots=True)
class Outside:
    """All that others say. `accepted`: ids that got a 202, in portions. `cancelled`: deliveries answered to be so."""

    accepted: Iterable[Sequence[UUID]] = ()
    cancelled: frozenset[DeliveryId] = frozenset()
    takes: Takes | None = None


def _portions(file: Path) -> Iterator[list[bytes]]:
    with file.open("rb") as lines:
        while portion := list(islice(lines, _LINES)):
            yield portion


def _id(file: Path, word: str) -> UUID:
    try:
        return UUID(word)
    except ValueError:
        raise ValueError(f"{file}: {word[:40]!r} is not an id of a notification") from None


def _row(log: Path, line: bytes) -> tuple[str, int, int, float]:
    try:
        said: dict[str, Any] = orjson.loads(line)
        key = SendKey.parse(said["key"].replace("_", "."))  # SES takes no dots in a tag
        return str(key.delivery.batch), key.delivery.seq, key.key_no, float(said["at"])
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ValueError(f"{log}: not a line of the sandbox's log: {line[:60].decode(errors='replace')!r}") from None

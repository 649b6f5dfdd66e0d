"""The sandbox's own log: one JSON line for every message a vendor accepted, written in groups, read back in pages."""

import os
import time
from bisect import bisect_right
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

import orjson

from sandbox.messages import Message

_KEPT = 1000  # newest messages of each vendor held in memory for the page; the file holds all
_INDEX_EVERY = 1000  # lines between two remembered offsets


class Journal:
    """`{data_dir}/log.jsonl`. Lines are numbered from 1 by `n`; the number goes on over restarts."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.path = data_dir / "log.jsonl"
        self.last = 0
        self.newest: dict[str, deque[bytes]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self.accepted: dict[str, int] = defaultdict(int)
        self._waiting: list[bytes] = []  # of the last moments: whoever runs the sandbox flushes every 50 ms
        self._index: list[tuple[int, int]] = [(0, 0)]  # (number of lines before, offset): 100 kB for a million lines
        self._size = 0
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._recover()

    def append(self, vendor: str, message: Message) -> None:
        """Add a message; it is in the file after the next `flush`."""
        self.last += 1
        line = orjson.dumps(
            {
                "n": self.last,
                "at": time.time(),
                "vendor": vendor,
                "message_id": message.id,
                "to": message.to,
                "key": message.key,
                "subject": message.subject,
                "text": message.text,
                "html": message.html,
                "from": message.sender,
                "traceparent": message.traceparent,
                "extra": message.extra,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        self._waiting.append(line)
        self._note(vendor, line)

    def flush(self) -> None:
        """Write what waits, in one write."""
        if not self._waiting:
            return
        lines, self._waiting = self._waiting, []
        before = self.last - len(lines)
        if before - self._index[-1][0] >= _INDEX_EVERY:
            self._index.append((before, self._size))
        self._write(b"".join(lines))

    def read(self, after: int, limit: int, vendor: str | None = None) -> tuple[list[dict[str, Any]], int]:
        """Lines numbered above `after`, at most `limit`, and the number to go on from. Reads the file."""
        found: list[dict[str, Any]] = []
        reached = after
        with self.path.open("rb") as file:
            file.seek(self._index[bisect_right(self._index, after, key=lambda entry: entry[0]) - 1][1])
            for raw in file:
                line: dict[str, Any] = orjson.loads(raw)
                if line["n"] <= after:
                    continue
                if len(found) == limit:
                    break
                reached = line["n"]
                if vendor is None or line["vendor"] == vendor:
                    found.append(line)
        return found, reached

    def empty(self) -> None:
        """Forget everything. Numbers go on, so that a reader's place stays valid."""
        self._waiting.clear()
        self.newest.clear()
        self.accepted.clear()
        os.ftruncate(self._file, 0)
        self._size = 0
        self._index = [(self.last, 0)]

    def close(self) -> None:
        """Write what waits and let go of the file."""
        self.flush()
        os.close(self._file)

    def _note(self, vendor: str, line: bytes) -> None:
        self.newest[vendor].append(line)
        self.accepted[vendor] += 1

    def _write(self, block: bytes) -> None:
        view = memoryview(block)
        while view:
            written = os.write(self._file, view)
            self._size += written
            view = view[written:]

    def _recover(self) -> None:
        """Read what an earlier life left behind; a line cut short by its end is dropped."""
        with self.path.open("rb") as file:
            for raw in file:
                if not raw.endswith(b"\n"):
                    os.ftruncate(self._file, self._size)
                    return
                line = orjson.loads(raw)
                if line["n"] - 1 - self._index[-1][0] >= _INDEX_EVERY:
                    self._index.append((line["n"] - 1, self._size))
                self.last = line["n"]
                self._size += len(raw)
                self._note(line["vendor"], raw)

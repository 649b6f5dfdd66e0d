"""Reads a CSV of people line by line, and stores them through the API in chunks, several at a time, in flat memory."""

import codecs
import csv
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import local
from typing import IO, TextIO

from cli.client import Api
from cli.errors import WRONG, Failure

COLUMNS = ("id", "email", "phone", "push_token", "locale", "timezone")
_MOST = 1000  # entries the API takes at once
_MOST_BYTES = 900_000  # of their JSON: the API takes a MiB
_AT_ONCE = 4  # chunks under way
_SHOWN = 20  # faults told without --errors


@dataclass(frozen=True, slots=True)
class Wrong:
    """Something that is wrong with a line. `column` is empty where it is about the whole line."""

    line: int
    column: str
    why: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that can be sent."""

    line: int
    person: dict[str, str]


@dataclass
class Tally:
    """What became of the lines so far."""

    stored: int = 0
    new: int = 0
    wrong_lines: int = 0
    shown: list[Wrong] = field(default_factory=list[Wrong])

    def refuse(self, faults: list[Wrong]) -> None:
        """A line was not taken."""
        self.wrong_lines += 1
        self.shown += faults[: _SHOWN - len(self.shown)]


class Source:
    """A file of lines, or standard input for `-`. A context manager. Raises Failure for what cannot be read."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._file: IO[bytes] | None = None
        self.size = 0  # bytes; 0: nobody knows
        self.done = 0  # bytes read

    def __enter__(self) -> "Source":
        if self._name != "-":
            try:
                self._file = Path(self._name).open("rb")
                self.size = Path(self._name).stat().st_size
            except OSError as error:
                raise Failure(f"{self._name}: {error.strerror}.", exit_code=WRONG) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def lines(self) -> Iterator[str]:
        """Decoded one by one, so that a wrong byte is told with its line."""
        for number, line in enumerate(self._raw(), 1):
            self.done += len(line)
            raw = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            try:
                text = raw.decode()
            except UnicodeDecodeError:
                raise Failure(
                    f"{self._name}, line {number}: not UTF-8. Save the file as UTF-8 (in Excel: CSV UTF-8).",
                    exit_code=WRONG,
                ) from None
            if "\0" in text:
                raise Failure(
                    f"{self._name}, line {number}: holds NUL. Is it UTF-16? Save it as UTF-8.", exit_code=WRONG
                )
            yield text

    def _raw(self) -> Iterable[bytes]:
        if self._file:
            return self._file
        binary = getattr(sys.stdin, "buffer", None)
        return binary if binary is not None else (line.encode() for line in sys.stdin)


def entries(source: Source) -> Iterator[Entry | list[Wrong]]:
    """Each line as an entry, or what is wrong with it. Raises Failure for a wrong header."""
    reader = csv.reader(source.lines(), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _require(header)
        while True:
            # A quoted field may go over several lines: the first is the one people look for.
            line = reader.line_num + 1
            row = next(reader, None)
            if row is None:
                return
            if row:
                yield _entry(line, header, row)
    except csv.Error as error:
        raise Failure(f"Line {reader.line_num}: {error}. Nothing after it was read.", exit_code=WRONG) from None


def _require(header: list[str]) -> None:
    unknown = sorted({name or "(empty)" for name in header} - set(COLUMNS))
    if "id" not in header or unknown or len(set(header)) < len(header):
        why = f"unknown: {', '.join(unknown)}" if unknown else "each at most once, and `id` is needed"
        raise Failure(f"The first line must name the columns, of {', '.join(COLUMNS)}: {why}.", exit_code=WRONG)


def _entry(line: int, header: list[str], row: list[str]) -> Entry | list[Wrong]:
    if len(row) != len(header):
        return [Wrong(line, "", f"has {len(row)} fields; the header has {len(header)}")]
    person = {name: value.strip() for name, value in zip(header, row, strict=True) if value.strip()}
    return Entry(line, person) if "id" in person else [Wrong(line, "id", "is empty")]


def chunks(found: Iterable[Entry | list[Wrong]], tally: Tally, report: "Report") -> Iterator[list[Entry]]:
    """Entries in groups the API takes at once; lines that are no entry go to the report."""
    chunk: list[Entry] = []
    size = 0
    for each in found:
        if isinstance(each, list):
            tally.refuse(each)
            report.write(each)
            continue
        more = len(json.dumps(each.person)) + 2
        if chunk and (len(chunk) == _MOST or size + more > _MOST_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(each)
        size += more
    if chunk:
        yield chunk


class Report:
    """Where wrong lines are written as they are found, as CSV; nowhere without a file."""

    def __init__(self, file: TextIO | None) -> None:
        self._writer = csv.writer(file) if file else None
        if self._writer:
            self._writer.writerow(("line", "column", "why"))

    def write(self, faults: Iterable[Wrong]) -> None:
        """Some more."""
        if self._writer:
            self._writer.writerows((each.line, each.column, each.why) for each in faults)


class Store:
    """Sends chunks, at most a few under way at a time. A context manager: it closes the connections."""

    def __init__(self, url: str | None, *, dry_run: bool) -> None:
        self._path = f"/recipients/bulk{'?dry_run=true' if dry_run else ''}"
        self._url, self._mine, self._open = url, local(), list[Api]()
        self._pool = ThreadPoolExecutor(_AT_ONCE)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for api in self._open:
            api.__exit__()

    def results(self, found: Iterable[list[Entry]]) -> Iterator[tuple[list[Entry], list[dict[str, object]]]]:
        """Each chunk with the API's results, in order. Raises Failure: what was stored before stays."""
        under_way: deque[tuple[list[Entry], Future[list[dict[str, object]]]]] = deque()
        for chunk in found:
            under_way.append((chunk, self._pool.submit(self._send, chunk)))
            if len(under_way) == _AT_ONCE:
                done, answer = under_way.popleft()
                yield done, answer.result()
        for done, answer in under_way:
            yield done, answer.result()

    def _send(self, chunk: list[Entry]) -> list[dict[str, object]]:
        if not hasattr(self._mine, "api"):
            self._mine.api = Api.found(self._url)
            self._open.append(self._mine.api)
        return self._mine.api.call("POST", self._path, [entry.person for entry in chunk])["results"]


def refusals(entry: Entry, result: dict[str, object]) -> list[Wrong]:
    """What the API finds wrong with an entry; empty if it took it."""
    if result["status"] in (200, 201):
        return []
    faults = result["errors"]
    assert isinstance(faults, list)
    return [Wrong(entry.line, fault["pointer"].lstrip("/"), fault["detail"]) for fault in faults]

"""What measurements by cases have in common: which are played, their lines under `bench/out/`, tables in Markdown."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import orjson


class Named(Protocol):
    """A case."""

    @property
    def name(self) -> str: ...  # noqa: D102


class Found(Protocol):
    """What came of a case: a dataclass. `broken`: promises that were not kept, a sentence each."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def case(self) -> str: ...  # noqa: D102
    @property
    def broken(self) -> Sequence[str]: ...  # noqa: D102


C = TypeVar("C", bound=Named)
F = TypeVar("F", bound=Found)


class Lines(Generic[F]):
    """A file with a line of JSON for each case that was played with this version, in the cases' order."""

    def __init__(self, file: Path, version: str, cases: Iterable[Named], read: Callable[[dict[str, Any]], F]) -> None:
        """`read`: what a line says again."""
        self._file, self._version, self._order = file, version, [case.name for case in cases]
        lines = file.read_bytes().splitlines() if file.exists() else []
        said = [orjson.loads(line) for line in lines]
        self._found = {line["case"]: read(line) for line in said if line.pop("version") == version}

    @property
    def findings(self) -> list[F]:
        """What is kept."""
        return [self._found[name] for name in self._order if name in self._found]

    def add(self, finding: F) -> None:
        """Keep it, in place of an older one."""
        self._found[finding.case] = finding
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_bytes(b"".join(self.line(found) + b"\n" for found in self.findings))

    def line(self, finding: F) -> bytes:
        """The case as one line of JSON, without its end."""
        return orjson.dumps({"version": self._version, **asdict(finding)})


def chosen(patterns: Sequence[str], cases: Sequence[C], kept: Sequence[Found]) -> list[C]:
    """The cases named, by globs; without names those that are not kept yet."""
    if patterns:
        return [case for case in cases if any(fnmatch(case.name, pattern) for pattern in patterns)]
    done = {finding.case for finding in kept}
    return [case for case in cases if case.name not in done]


def reasons(findings: Iterable[Found]) -> list[str]:
    """All that was broken, a line each."""
    return [f"{found.case}: {reason}" for found in findings for reason in found.broken]


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    return "".join(f"| {' | '.join(row)} |\n" for row in (columns, ["---"] * len(columns), *rows))

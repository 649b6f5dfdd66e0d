"""The examples of the documentation: fenced `console` blocks, run in a shell and held against what they show."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITHIN = 30.0  # seconds for a read to become what it shows: what it tells of may still be under way


@dataclass(frozen=True)
class Example:
    """A command, over several lines if it is one, and what it prints."""

    command: str
    shown: str

    @property
    def only_reads(self) -> bool:
        return self.command.startswith("curl") and not re.search(r" -(d|X) ", self.command)

    def matches(self, printed: str) -> bool:
        """`…` stands for anything; spaces and line ends do not count."""
        pattern = ".*".join(re.escape(part) for part in _bare(self.shown).split("…"))
        return re.fullmatch(pattern, _bare(printed), re.DOTALL) is not None


def examples(page: Path) -> Iterator[Example]:
    """In the order of the page."""
    for block in BLOCK.findall(page.read_text()):
        for each in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, shown = _parted(each)
            yield Example(command, shown)


def _parted(text: str) -> tuple[str, str]:
    """A here-document belongs to its command."""
    here = re.match(r"[^\n]*<<'(\w+)'\n.*?^\1\n", text, re.DOTALL | re.MULTILINE)
    command, _, shown = (here[0], "", text[here.end() :]) if here else text.partition("\n")
    return command.rstrip("\n"), shown


def _bare(text: str) -> str:
    return re.sub(r"\s+", "", text)


class Shell:
    """A bash that keeps its variables from one example to the next."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def open(cls, folder: Path, environment: Mapping[str, str]) -> "Shell":
        pipe, out = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
        process = await asyncio.create_subprocess_exec(
            "bash", cwd=folder, env=dict(environment), stdin=pipe, stdout=pipe, stderr=out
        )
        return cls(process)

    async def run(self, command: str) -> str:
        """What it prints."""
        assert self._process.stdin and self._process.stdout
        end = f"end-{uuid4()}"
        self._process.stdin.write(f"{command}\necho; echo {end}\n".encode())
        lines: list[str] = []
        async with asyncio.timeout(60):
            while (line := (await self._process.stdout.readline()).decode()).strip() != end:
                assert line, f"the shell ended at: {command}"
                lines.append(line)
        return "".join(lines)

    async def close(self) -> None:
        self._process.kill()
        await self._process.wait()

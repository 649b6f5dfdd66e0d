"""What the documentation shows is what happens: its examples run against a whole stack."""

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from examples import WITHIN, Example, Shell, examples

from settings import Settings
from workers.embedded.output import to_file
from workers.embedded.stack import running

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("api", "tenancy", "limits", "recipients", "security")

pytestmark = [
    pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash"),
]


@dataclass(frozen=True)
class Site:
    """Where the stack is, and what its shell knows."""

    address: str
    environment: Mapping[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """`make dev`, on free ports."""
    folder = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CLARION_")]:
            patch.delenv(name)
        patch.chdir(folder)
        settings = Settings(data_dir=folder / ".clarion")
        async with running(settings, free_ports=True, sink=to_file(folder / "log")) as stack:
            told = json.loads((folder / ".clarion" / "environment.json").read_text())
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            known = {**os.environ, "PATH": path, "CLARION_DATA_DIR": str(settings.data_dir)}
            yield Site(
                stack.addresses.api.removeprefix("http://"),
                {**known, "CLARION_CALLBACK_SECRET": told["CLARION_CALLBACK_SECRET"]},
            )


@pytest.mark.parametrize("page", PAGES)
async def test_a_pages_examples_print_what_they_show(site: Site, page: str, tmp_path: Path) -> None:
    found = list(examples(DOCS / f"{page}.md"))
    assert found
    shell = await Shell.open(tmp_path, site.environment)
    try:
        for example in found:
            await held(shell, example, site.address)
    finally:
        await shell.close()


async def held(shell: Shell, example: Example, address: str) -> None:
    command = example.command.replace("localhost:8000", address)
    end = time.monotonic() + WITHIN
    while not example.matches(printed := await shell.run(command)):
        assert example.only_reads and time.monotonic() < end, f"$ {command}\n{printed}\nshould be\n{example.shown}"
        await asyncio.sleep(0.2)


def test_every_page_with_examples_is_tried() -> None:
    assert {page.stem for page in DOCS.rglob("*.md") if list(examples(page))} == set(PAGES)

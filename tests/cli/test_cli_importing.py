"""`clarion recipients import` and `clarion suppressions`, against a running API."""

import csv
import tracemalloc
from pathlib import Path

import pytest
import pytest_asyncio
from cli_side import CommandLine
from stage import SetStage, Stage

from cli import importing


@pytest_asyncio.fixture
async def stage(set_stage: SetStage) -> Stage:
    """Nothing is sent here: no worker runs."""
    return await set_stage(held=True)


async def test_good_lines_are_stored_and_wrong_ones_told(clarion: CommandLine, tmp_path: Path) -> None:
    file, wrong = tmp_path / "people.csv", tmp_path / "wrong.csv"
    file.write_text(
        "\ufeffPhone,id,email\n+14155550100,ann,ann@example.com\n,bob,nobody\n,,x@example.com\n1,2\n"
        ',"two\nlines",t@example.com\n\n12,carl,\n',
        encoding="utf-8",
    )
    done = await clarion("recipients", "import", str(file), "--errors", str(wrong), "--json")
    assert done.code == 1 and (done.json["stored"], done.json["new"], done.json["wrong"]) == (2, 2, 4)
    with wrong.open(newline="") as report:
        rows = list(csv.reader(report))
    assert rows[0] == ["line", "column", "why"]
    assert sorted((int(line), column) for line, column, _ in rows[1:]) == [
        (3, "email"),
        (4, "id"),
        (5, ""),
        (9, "phone"),
    ]
    assert all(why for *_, why in rows[1:])
    shown = await clarion("recipients", "get", "two\nlines", "--json")
    assert shown.json["email"] == "t@example.com"
    listed = await clarion("recipients", "list", "--prefix", "an", "--json")
    assert [each["id"] for each in listed.json] == ["ann"]


async def test_from_standard_input_and_again(clarion: CommandLine) -> None:
    text = "id,email\n" + "".join(f"p{n},p{n}@example.com\n" for n in range(2500))
    dry = await clarion("recipients", "import", "-", "--dry-run", stdin=text)
    assert dry.code == 0 and "Would be stored: 2500" in dry.out
    assert (await clarion("recipients", "get", "p0")).code == 1
    for new in (2500, 0):
        done = await clarion("recipients", "import", "-", "--json", stdin=text)
        assert done.code == 0 and (done.json["stored"], done.json["new"]) == (2500, new)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "`id` is needed"),
        (b"email\na@b.c\n", "`id` is needed"),
        (b"id,fax\n", "unknown: fax"),
        (b"id,id\n", "at most once"),
        (b"id,email\nann,\xff\n", "line 2: not UTF-8"),
        ("id,email\nann,".encode("utf-16"), "line 1: not UTF-8"),
        (b'id,email\nann,"x"y\n', "Line 2"),
    ],
)
async def test_what_is_no_such_file(clarion: CommandLine, tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(content)
    done = await clarion("recipients", "import", str(file))
    assert done.code == 2 and says in done.err and "Traceback" not in done.err


async def test_no_file(clarion: CommandLine) -> None:
    done = await clarion("recipients", "import", "nowhere.csv")
    assert done.code == 2 and "nowhere.csv: No such file" in done.err


def test_a_large_file_is_read_in_flat_memory(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    with file.open("w") as out:
        out.write("id,email,push_token\n")
        out.writelines(f"p{n},p{n}@example.com,{'t' * 150}\n" for n in range(20_000))
    tracemalloc.start()
    with importing.Source(str(file)) as source:
        found = importing.chunks(importing.entries(source), importing.Tally(), importing.Report(None))
        n = sum(len(chunk) for chunk in found)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n == 20_000 and most < 3_000_000 < file.stat().st_size


def test_chunks_fit_the_apis_limits() -> None:
    people = [importing.Entry(n, {"id": str(n), "push_token": "x" * 4000}) for n in range(1000)]
    sizes = [len(chunk) for chunk in importing.chunks(people, importing.Tally(), importing.Report(None))]
    assert sum(sizes) == 1000 and max(sizes) * 4030 < 1_048_576


async def test_suppressions(clarion: CommandLine) -> None:
    assert (await clarion("suppressions", "check", "email", "ann@example.com")).code == 1
    added = await clarion("suppressions", "add", "email", "ann@example.com", "--reason", "unsubscribe", "--json")
    assert added.json["hint"] == "a***@example.com"
    assert (await clarion("suppressions", "check", "email", "ann@example.com")).code == 0
    assert "unsubscribe" in (await clarion("suppressions", "list")).out
    assert (await clarion("suppressions", "remove", "email", "ann@example.com")).code == 0
    assert (await clarion("suppressions", "list", "--json")).json == []
    assert (await clarion("suppressions", "add", "email", "nobody")).code == 2

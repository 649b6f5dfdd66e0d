"""The deliberate defects still fit the code: else the proof that the fault suite finds them is worth nothing."""

import ast
import shutil
from pathlib import Path

import pytest

from bench.chaos.defects import DEFECTS, Change, Defect, TextNotFound, apply
from bench.chaos.plan import plan

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_fits_and_is_still_python(name: str, tmp_path: Path) -> None:
    files = {change.file for change in DEFECTS[name].changes}
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    apply(DEFECTS[name], tmp_path)
    for file in files:
        broken = (tmp_path / file).read_text()
        assert broken != (ROOT / file).read_text()
        ast.parse(broken)


@pytest.mark.parametrize("name", DEFECTS)
def test_its_short_run_has_every_fault_it_is_tried_with(name: str) -> None:
    defect = DEFECTS[name]
    assert {fault.kind for fault in plan(defect.seconds, 1, defect.kinds)} == set(defect.kinds)


def test_a_defect_that_does_not_fit_says_so(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text("a = 1\na = 1\n")
    for old in ("a = 1\n", "b = 2\n"):
        lost = Defect((Change("file.py", old, ""),), 1, 1, (), lambda report: True, "nothing")
        with pytest.raises(TextNotFound, match="times, not once"):
            apply(lost, tmp_path)

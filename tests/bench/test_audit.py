"""What `make check` says of the dependency audit."""

from typing import Any

import pytest

from bench.audit import verdict

CLEAN = {"name": "clean", "version": "1.0", "vulns": []}
FLAWED = {"name": "flawed", "version": "1.0", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.1"]}]}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "strict_code", "said"),
    [
        ([CLEAN], 0, 0, "audit: 1 packages, no known vulnerability"),
        ([CLEAN, FLAWED, UNKNOWN], 1, 1, "audit: flawed 1.0: PYSEC-2026-1 (fixed in 1.1)"),
        ([CLEAN, UNKNOWN], 0, 1, "audit: WARNING: 1 of 2 packages are unknown to the vulnerability service"),
        ([UNKNOWN], 0, 1, "audit: WARNING: the vulnerability service cannot be reached: nothing was audited"),
        (None, 0, 1, "audit: WARNING: the vulnerability service cannot be reached: nothing was audited"),
    ],
)
def test_it_fails_for_flaws_and_when_strict_for_doubts(
    packages: list[dict[str, Any]] | None, code: int, strict_code: int, said: str
) -> None:
    report = None if packages is None else {"dependencies": packages}
    assert verdict(report, strict=False) == (code, [said])
    assert verdict(report, strict=True) == (strict_code, [said])

"""Faults of vendors: for each kind the rules that the sandbox is given while it lasts."""

from collections.abc import Mapping
from typing import Any

# A rule as in docs/sandbox.md. What is slow stays under the time-out of 3 s, or goes beyond it.
RULES: Mapping[str, Mapping[str, Any]] = {
    "vendor-hang-before": {"hang": "before"},
    "vendor-hang-after": {"hang": "after"},
    "vendor-slow": {"latency": 1.5, "jitter": 2.5},
    "vendor-errors": {"answer": {"status": 500}},
    "vendor-throttled": {"answer": {"status": 429, "retry_after": 2}},
    "vendor-reset": {"reset": True, "share": 0.8},
    "vendor-clock-jump": {"clock_skew": -7200},
    "receipts-repeated": {"receipt": {"repeat": 4}},
    "receipts-reordered": {"receipt": {"shuffle": True, "repeat": 2}},
    "receipts-delayed": {"receipt": {"delay": 8}},
    "receipts-early": {"receipt": {"early": True}},
    "receipts-forged": {"receipt": {"forged": True}},
}


def settings(kind: str, seed: int) -> dict[str, Any]:
    """What a vendor is set to while this fault lasts."""
    return {"seed": seed, "rules": [RULES[kind]]}

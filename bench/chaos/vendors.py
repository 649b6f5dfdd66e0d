"""Faults of vendors: for each kind the rules that the sandbox is given while it lasts."""

from collections.abc import Mapping, Sequence
from typing import Any

_NO_RECEIPT = {"receipt": {"report": "none"}}

# Rules as in docs/sandbox.md. What is slow stays under the time-out of 3 s, or goes beyond it. Of what is taken without
# an answer, half is never reported either: only a doubt's end helps.
RULES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "vendor-hang-before": ({"hang": "before"},),
    "vendor-hang-after": ({"hang": "after", "share": 0.5, **_NO_RECEIPT}, {"hang": "after"}),
    "vendor-slow": ({"latency": 1.5, "jitter": 2.5},),
    "vendor-errors": ({"answer": {"status": 500}},),
    "vendor-throttled": ({"answer": {"status": 429, "retry_after": 2}},),
    "vendor-reset": ({"reset": True, "share": 0.4, **_NO_RECEIPT}, {"reset": True, "share": 0.7}),
    "vendor-clock-jump": ({"clock_skew": -7200},),
    "receipts-repeated": ({"receipt": {"repeat": 4}},),
    "receipts-reordered": ({"receipt": {"shuffle": True, "repeat": 2}},),
    "receipts-delayed": ({"receipt": {"delay": 8}},),
    "receipts-early": ({"receipt": {"early": True}},),
    "receipts-forged": ({"receipt": {"forged": True}},),
}


def settings(kind: str, seed: int) -> dict[str, Any]:
    """What a vendor is set to while this fault lasts."""
    return {"seed": seed, "rules": list(RULES[kind])}

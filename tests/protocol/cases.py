"""The bounds the model is run with. Small ones that together reach every guard; larger ones for the protocol alone."""

from typing import Any

from states import Budget

Case = dict[str, Any]

CASES: dict[str, Case] = {
    "one delivery, plain vendors": {"budget": Budget(1, 0, 1), "signals": False},
    "one delivery, the first vendor idempotent": {
        "idempotent": (True, False),
        "budget": Budget(1, 0, 0),
        "signals": False,
    },
    "one delivery, the workflow lost": {"attempts": 2, "tries": 1, "budget": Budget(0, 1, 1)},
    "two deliveries, one try, no fallback": {
        "rows": 2,
        "tries": 1,
        "attempts": 1,
        "budget": Budget(1, 0, 0),
        "people": False,
    },
}

DEEP: dict[str, Case] = {
    "one delivery, more attempts": {"attempts": 4, "budget": Budget(2, 1, 1), "signals": False},
    "one delivery, signals, all faults": {"attempts": 3, "idempotent": (True, False)},
    "two deliveries, fallback": {
        "rows": 2,
        "tries": 1,
        "attempts": 2,
        "budget": Budget(0, 0, 0),
        "people": False,
    },
}

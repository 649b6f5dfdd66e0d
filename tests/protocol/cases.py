"""The bounds the model is run with. Small ones that together reach every guard; larger ones for the protocol alone."""

from typing import Any

from states import Budget

Case = dict[str, Any]

BOTH = (0, 1)

CASES: dict[str, Case] = {
    "one delivery, plain vendors": {"attempts": 2, "budget": Budget(1, 0, 1), "signals": False},
    "moved between plain vendors": {"tries": 1, "budget": Budget(1, 0, 0, 2), "signals": False},
    "moved, and retried by an operator": {"tries": 1, "attempts": 2, "budget": Budget(0, 0, 1, 1), "signals": False},
    "one delivery, the first vendor idempotent": {
        "idempotent": (True, False),
        "first": BOTH,
        "attempts": 2,
        "budget": Budget(1, 0, 0),
        "signals": False,
    },
    "one delivery, the workflow lost": {"attempts": 2, "tries": 1, "budget": Budget(0, 1, 0)},
    "two deliveries, one try, no fallback": {
        "rows": 2,
        "tries": 1,
        "attempts": 1,
        "budget": Budget(1, 0, 0),
        "people": False,
    },
    "a second delivery is added, the run may be lost": {
        "tries": 1,
        "attempts": 1,
        "budget": Budget(0, 1, 0, additions=1),
        "people": False,
    },
    "moved, the first vendor idempotent": {
        "idempotent": (True, False),
        "first": BOTH,
        "attempts": 2,
        "budget": Budget(1, 0, 0, 1),
        "signals": False,
    },
}

DEEP: dict[str, Case] = {
    "one delivery, more attempts": {"attempts": 4, "budget": Budget(1, 0, 1), "signals": False},
    "one delivery, two time-outs and a lost run": {"budget": Budget(2, 1, 0), "signals": False},
    "one delivery, signals, all faults": {"attempts": 2, "idempotent": (True, False), "first": BOTH},
    "moved twice, retried": {"budget": Budget(1, 0, 1, 2), "signals": False},
    "moved twice, the run lost": {
        "idempotent": (True, False),
        "first": BOTH,
        "attempts": 2,
        "budget": Budget(1, 1, 0, 2),
        "signals": False,
    },
    "two deliveries, fallback": {
        "rows": 2,
        "tries": 1,
        "attempts": 2,
        "budget": Budget(0, 0, 0),
        "people": False,
    },
    "a second delivery is added, retried by an operator": {
        "tries": 1,
        "attempts": 2,
        "budget": Budget(1, 0, 1, additions=1),
        "signals": False,
    },
    "two deliveries, moved": {
        "rows": 2,
        "tries": 1,
        "attempts": 1,
        "budget": Budget(0, 0, 0, 2),
        "people": False,
    },
}

"""What the load asks for: for each number one request, drawn from the seed. Pure but for the clock it is given."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

_PEOPLE = 5000
_ITEMS = (3, 8)  # of one POST /notify/batch
_FATES = {
    "plain": 68,
    "expiring": 9,
    "scheduled": 7,
    "cancelled-in-time": 4,
    "cancelled-at-once": 4,
    "cancelled-late": 3,
    "batch": 5,
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `cancel_after`: seconds after its 202 until it is cancelled."""

    path: str
    body: bytes
    cancel_after: float | None = None


def request(n: int, seed: int, now: float) -> Request:
    """The `n`th request of this seed; times in it count from `now`, seconds since 1970."""
    chance = random.Random(f"{seed} {n}")
    [fate] = chance.choices(list(_FATES), list(_FATES.values()))
    if fate == "batch":
        items = [_notification(n, chance) for _ in range(chance.randint(*_ITEMS))]
        return Request("/notify/batch", orjson.dumps(items))
    times, cancel_after = _times(fate, chance, datetime.fromtimestamp(now, UTC))
    return Request("/notify", orjson.dumps({**_notification(n, chance), **times}), cancel_after)


def _notification(n: int, chance: random.Random) -> dict[str, Any]:
    [channels] = chance.choices((["email", "sms"], ["email"], ["sms"]), (50, 25, 25))
    [priority] = chance.choices(("high", "normal", "low"), (20, 50, 30))
    people = chance.sample(range(_PEOPLE), 3 if chance.random() < 0.1 else 1)
    return {
        "channels": channels,
        "recipient_ids": [f"user{person}" for person in people],
        "message": f"chaos {n}",
        "priority": priority,
    }


def _times(fate: str, chance: random.Random, now: datetime) -> tuple[dict[str, str], float | None]:
    """Fields for when it is sent or not sent, and when it is cancelled."""

    def after(least: float, most: float) -> str:
        return (now + timedelta(seconds=chance.uniform(least, most))).isoformat()

    match fate:
        case "expiring":
            return {"expires_at": after(1, 20)}, None
        case "scheduled":
            return {"send_at": after(2, 15)}, None
        case "cancelled-in-time":
            return {"send_at": after(6, 15)}, chance.uniform(0.5, 8)
        case "cancelled-at-once":  # while it is being sent
            return {}, chance.uniform(0, 0.6)
        case "cancelled-late":  # when it has been sent, unless something was in the way
            return {}, chance.uniform(1, 12)
        case _:
            return {}, None

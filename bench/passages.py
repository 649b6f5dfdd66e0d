"""When each notification of a load passed which point: from the ledger, and from the vendor's own log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.numbers import NAN, counted, percentile
from ledger.database import Database


@dataclass(frozen=True, slots=True)
class Passage:
    """One delivery. Times in seconds since 1970 by the ledger's clock; `sent`, `receipted` None: not yet.

    `delivery` as the vendor's log has it: `{batch}.{seq}`.
    """

    notification: str
    delivery: str
    priority: str
    accepted: float
    sent: float | None
    receipted: float | None


# A receipt may be quicker than the record of the answer it follows: then there is no time of sending but its own.
_PASSAGES = """
SELECT n.id, d.batch_id || '.' || d.seq AS delivery, n.priority,
       extract(epoch FROM n.created_at)::float8 AS accepted, extract(epoch FROM least(d.sent_at, e.at))::float8 AS sent,
       extract(epoch FROM e.at)::float8 AS receipted
  FROM notification n JOIN delivery d ON d.notification_id = n.id
  LEFT JOIN (SELECT batch_id, seq, min(at) AS at FROM delivery_event WHERE new = 'delivered' GROUP BY batch_id, seq) e
       ON e.batch_id = d.batch_id AND e.seq = d.seq
 WHERE n.created_at >= to_timestamp(CAST(:since AS float8))
"""


async def since(db: Database, moment: float) -> list[Passage]:
    """Of everything accepted from this moment on, in seconds since 1970."""
    rows = await db.run(_PASSAGES, since=moment)
    return [Passage(str(r.id), r.delivery, r.priority, r.accepted, r.sent, r.receipted) for r in rows]


def rate(moments: Sequence[float | None], began: float) -> float:
    """A second, from the beginning until the last of them; not a number when one is missing."""
    known = [moment for moment in moments if moment is not None]
    if not known or len(known) < len(moments):
        return NAN
    return len(known) / (max(known) - began)


def vendor_times(log: Path) -> dict[str, float]:
    """When a vendor first took each delivery, in seconds since 1970, from the sandbox's log."""
    found: dict[str, float] = {}
    for line in log.read_bytes().splitlines():
        said = orjson.loads(line)
        delivery = said["key"].replace("_", ".").rpartition(".")[0]
        found.setdefault(delivery, said["at"])
    return found


def planned(promised: Path, began: float, rate: float) -> dict[str, float]:
    """When each accepted notification of an open loop was to be sent, by id."""
    lines = (line.split() for line in promised.read_text().splitlines())
    return {id: began + int(n) / rate for n, id in lines}


def timeline(passages: Sequence[Passage], began: float, step: float = 1.0) -> dict[str, Mapping[str, list[float]]]:
    """Per priority and step: how many were accepted and not sent yet, and p99 from accept to sent of those accepted."""
    last = max((p.sent or p.accepted for p in passages), default=began) - began
    steps = range(int(last // step) + 1)
    return {
        priority: _of_priority([p for p in passages if p.priority == priority], began, step, steps)
        for priority in sorted({p.priority for p in passages})
    }


def _of_priority(mine: Sequence[Passage], began: float, step: float, steps: range) -> Mapping[str, list[float]]:
    came = counted((p.accepted - began for p in mine), step)
    went = counted((p.sent - began for p in mine if p.sent is not None), step)
    waits: dict[int, list[float]] = {}
    for p in mine:
        if p.sent is not None:
            waits.setdefault(int((p.accepted - began) // step), []).append(p.sent - p.accepted)
    backlog: list[float] = []
    waiting = 0
    for n in steps:
        waiting += came.get(n, 0) - went.get(n, 0)
        backlog.append(waiting)
    return {"backlog": backlog, "p99": [percentile(waits.get(n, ()), 0.99) for n in steps]}

"""How long it took, after each fault, until a new notification was accepted and had been sent."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import orjson

from bench.chaos.crowd import Accepted
from bench.chaos.plan import Lane
from bench.chaos.striking import Strike


@dataclass(frozen=True, slots=True)
class Sent:
    """A message some vendor took: of which request, and when (seconds since 1970)."""

    n: int
    vendor: str
    at: float


@dataclass(frozen=True, slots=True)
class Recovery:
    """Of one kind of fault: how often it struck, and seconds to recovery where there was one before the load ended."""

    times: int
    seconds: tuple[float, ...]

    @property
    def typical(self) -> float | None:
        """The median."""
        return round(median(self.seconds), 2) if self.seconds else None

    @property
    def worst(self) -> float | None:
        """The longest."""
        return round(max(self.seconds), 2) if self.seconds else None


def recoveries(strikes: Sequence[Strike], accepted: Sequence[Accepted], sent: Sequence[Sent]) -> Mapping[str, Recovery]:
    """By kind. A request counts that was made after the fault was over, and both was accepted and reached a vendor.

    After a fault of a vendor only what this vendor took counts: it has to have its traffic back.
    """
    found: dict[str, list[float | None]] = defaultdict(list)
    for strike in strikes:
        found[strike.fault.kind].append(_recovered(strike, accepted, sent))
    return {
        kind: Recovery(len(each), tuple(seconds for seconds in each if seconds is not None))
        for kind, each in sorted(found.items())
    }


def sends(log: Path) -> Sequence[Sent]:
    """The sandbox's log: the text of each message names its request."""
    lines = map(orjson.loads, log.read_bytes().splitlines())
    return [Sent(int(line["text"].rpartition(" ")[2]), line["vendor"], line["at"]) for line in lines]


def usual_way(accepted: Sequence[Accepted], sent: Sequence[Sent]) -> float | None:
    """The median of the seconds from a request to the first message some vendor took of it, over the whole run."""
    asked = {one.n: one.asked for one in accepted}
    first: dict[int, float] = {}
    for one in sent:
        if one.n in asked:
            first[one.n] = min(one.at, first.get(one.n, one.at))
    return round(median(at - asked[n] for n, at in first.items()), 2) if first else None


def _recovered(strike: Strike, accepted: Sequence[Accepted], sent: Sequence[Sent]) -> float | None:
    answered = {one.n: one.answered for one in accepted if one.asked >= strike.ended}
    vendors = strike.fault.target.split() if strike.fault.lane is Lane.VENDORS else None
    ends = [
        max(answered[one.n], one.at)
        for one in sent
        if one.n in answered and (vendors is None or one.vendor == vendors[0])
    ]
    return min(ends) - strike.ended if ends else None

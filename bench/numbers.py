"""Percentiles, and times cut into steps."""

from collections.abc import Iterable, Sequence

NAN = float("nan")


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share of them is below; not a number when there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else NAN


def mean(values: Sequence[float]) -> float:
    """Not a number when there are none."""
    return sum(values) / len(values) if values else NAN


def counted(moments: Iterable[float], step: float) -> dict[int, int]:
    """How many fall into each step, by its number. `moments` in seconds from the beginning."""
    found: dict[int, int] = {}
    for moment in moments:
        found[int(moment // step)] = found.get(int(moment // step), 0) + 1
    return found

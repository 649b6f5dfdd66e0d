"""What a case found: its figures with their bounds, what was broken, and the series that plots are drawn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, and the bound it is held against, if any."""

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether it keeps its bound; None without one. A figure that is not a number keeps none."""
        if self.at_least is None and self.at_most is None:
            return None
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)


@dataclass(frozen=True, slots=True)
class Finding:
    """A case that was played. `broken`: promises that were not kept; `series`: by the name of a plot."""

    case: str
    seconds: float
    figures: Sequence[Figure]
    broken: Sequence[str] = ()
    series: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def missed(self) -> list[Figure]:
        """Figures beyond their bounds."""
        return [figure for figure in self.figures if figure.met is False]


@dataclass(frozen=True, slots=True)
class Played:
    """The same before it has a name and a length: what a case hands back."""

    figures: Sequence[Figure]
    broken: Sequence[str] = ()
    series: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Untried(Exception):
    """A case could not be played to its end, for a reason that says nothing of what it measures."""

"""Calls in flight at each vendor, by whose they are: a tenant's flood leaves places to the others."""

from collections import Counter, defaultdict
from collections.abc import Generator
from contextlib import contextmanager

from domain import shares


class Places:
    """One per process."""

    def __init__(self, *, fair: bool = True) -> None:
        self._fair = fair
        self._taken: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def room(self, provider: str, owner: str, most: int) -> int:
        """How many calls more this owner may begin, where there should be no more than `most` in all."""
        taken = self._taken[provider]
        own, owners = taken[owner], len(taken)
        if not own:
            del taken[owner]
            owners = len(taken) + 1
        if not self._fair:
            return max(0, most - taken.total())
        return shares.room(own, taken.total(), most, owners)

    @contextmanager
    def taken(self, provider: str, owner: str) -> Generator[None]:
        """A call is in flight inside the block."""
        taken = self._taken[provider]
        taken[owner] += 1
        try:
            yield
        finally:
            taken[owner] -= 1
            if not taken[owner]:
                del taken[owner]

"""Owners of waiting items take turns: by weight, whatever each has waiting."""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

QUANTUM = 16  # weight of items an owner of weight 1 may give in a turn

T = TypeVar("T")


@dataclass(slots=True)
class _Queue(Generic[T]):
    items: deque[T] = field(default_factory=deque[T])
    weight: int = 0  # of the items
    share: int = 1
    credit: int = 0  # what is left of its turn; below 0 it has to sit out


class Waiting(Generic[T]):
    """Items by owner, each owner's in their order (surplus round robin: Shreedhar and Varghese, 1996)."""

    def __init__(self, weight_of: Callable[[T], int]) -> None:
        self._weight_of = weight_of
        self._queues: OrderedDict[str, _Queue[T]] = OrderedDict()  # whose turn is next comes first
        self.weight = 0

    @property
    def owners(self) -> int:
        """How many have something waiting."""
        return len(self._queues)

    def of(self, owner: str) -> int:
        """Weight of what waits of this owner."""
        queue = self._queues.get(owner)
        return queue.weight if queue else 0

    def put(self, owner: str, share: int, item: T) -> None:
        """Behind what else this owner has waiting. `share`: how many times the usual turn it gets."""
        queue = self._queues.get(owner)
        if queue is None:
            queue = self._queues[owner] = _Queue()
        queue.share = share
        queue.items.append(item)
        weight = self._weight_of(item)
        queue.weight += weight
        self.weight += weight

    def take(self, cap: int) -> list[T]:
        """Items of at most this weight, or a single one that is heavier; none only if nothing waits."""
        taken: list[T] = []
        left = cap
        while self._queues:
            owner, queue = next(iter(self._queues.items()))
            alone = len(self._queues) == 1
            if queue.credit <= 0 and not alone:
                queue.credit += QUANTUM * queue.share
                self._queues.move_to_end(owner)
                continue
            weight = self._weight_of(queue.items[0])
            if taken and weight > left:
                break
            taken.append(queue.items.popleft())
            queue.credit -= 0 if alone else weight
            queue.weight -= weight
            self.weight -= weight
            left -= weight
            if not queue.items:
                del self._queues[owner]
        return taken

"""Goes through every state the protocol can reach, and says which promise breaks, with a shortest way there."""

from collections import deque
from dataclasses import dataclass, field

from protocol_model import ALL_MOODS, Protocol, all_ended, waiting
from states import State, Step

Trace = list[str]


@dataclass
class Found:
    """What a search found. Clean: `broken` is empty."""

    broken: dict[str, Trace] = field(default_factory=dict)
    states: int = 0
    steps: int = 0


def search(protocol: Protocol, *, stop: bool = False, most: int = 400_000) -> Found:
    """Safety on every step, then liveness from every state. `stop`: at the first violation."""
    return _Search(protocol, stop, most).run()


class _Search:
    def __init__(self, protocol: Protocol, stop: bool, most: int) -> None:
        self._protocol, self._stop, self._most = protocol, stop, most
        self._came: dict[State, tuple[State, str] | None] = dict.fromkeys(protocol.starts)
        self._fair: dict[str, dict[State, list[State]]] = {mood: {} for mood in ALL_MOODS}
        self._found = Found()

    def run(self) -> Found:
        todo = deque(self._protocol.starts)
        while todo:
            state = todo.popleft()
            for step in self._protocol.steps(state):
                self._found.steps += 1
                broken = step.broken or _miscounted(step.to)
                if broken:
                    self._found.broken.setdefault(broken, self._trace(state, step.label))
                    if self._stop:
                        return self._end()
                    continue  # what lies behind a violation says nothing
                self._go(state, step, todo)
        self._liveness()
        return self._end()

    def _go(self, state: State, step: Step, todo: deque[State]) -> None:
        if step.to not in self._came:
            self._came[step.to] = (state, step.label)
            todo.append(step.to)
            if len(self._came) > self._most:
                raise OverflowError(f"more than {self._most} states")
        for mood in step.fair:
            self._fair[mood].setdefault(step.to, []).append(state)

    def _liveness(self) -> None:
        """From every state the run, its timers and the sweep alone end all rows, with nobody's help and no receipt."""
        for mood in ALL_MOODS:
            good = {state for state in self._came if all_ended(state)}
            todo = deque(good)
            while todo:
                for before in self._fair[mood].get(todo.popleft(), ()):
                    if before not in good:
                        good.add(before)
                        todo.append(before)
            stuck = next((state for state in self._came if state not in good), None)
            if stuck is not None:
                rows = ", ".join(row.status.name for row in stuck.rows)
                text = f"... stuck while the vendor {mood}: {rows}; run {stuck.run.name}"
                self._found.broken.setdefault("I1 a row never ends", self._trace(stuck, text))

    def _trace(self, state: State, last: str) -> Trace:
        trace = [last]
        came = self._came[state]
        while came is not None:
            state, label = came
            trace.append(label)
            came = self._came[state]
        return trace[::-1]

    def _end(self) -> Found:
        self._found.states = len(self._came)
        return self._found


def _miscounted(s: State) -> str | None:
    if s.awaiting == waiting(s):
        return None
    if s.awaiting < 0:
        return "I4 awaiting is negative"
    if all_ended(s):
        return "I4 awaiting is left over at the end"
    return "I4 awaiting is not the number of waiting rows"

"""`python tests/protocol`: the protocol, then without each guard. `--traces`: how each breaks. `--deep`: larger."""

import sys
import time

from cases import CASES, DEEP, Case
from guards import GUARDS
from parked import loses
from protocol_model import Protocol
from search import Found, search


def say(line: str) -> None:
    """One line, at once: the deep run takes minutes."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def report(title: str, off: list[str], cases: dict[str, Case], *, stop: bool) -> dict[str, list[str]]:
    """Search all cases, print a line, return what broke with a shortest trace."""
    broken: dict[str, list[str]] = {}
    sizes: list[str] = []
    for case in cases.values():
        found: Found = search(Protocol(off, **case), stop=stop, most=3_000_000)
        sizes.append(f"{found.states}/{found.steps}")
        for name, trace in found.broken.items():
            broken[name] = min(broken.get(name, trace), trace, key=len)
        if stop and broken:
            break
    say(f"{title}: {'fails' if broken else 'clean'}   states/steps {' '.join(sizes)}")
    for name, trace in sorted(broken.items()):
        say(f"    {name} ({len(trace)} steps)")
        if "--traces" in sys.argv:
            say("\n".join(f"        {line}" for line in trace))
    return broken


def main() -> int:
    """Exit code 0 if the protocol is clean and every guard is needed."""
    began = time.monotonic()
    if "--deep" in sys.argv:
        broken = [name for name, case in DEEP.items() if report(name, [], {name: case}, stop=False)]
        return int(bool(broken))
    right = not report("the protocol", [], CASES, stop=False)
    for name, text in GUARDS.items():
        right &= bool(report(f"without {name} ({text})", [name], CASES, stop=True))
    right &= not loses(commit_first=True) and loses(commit_first=False)
    say(f"{'as it has to be' if right else 'NOT AS IT HAS TO BE'}, {time.monotonic() - began:.1f} s")
    return int(not right)


if __name__ == "__main__":
    sys.exit(main())

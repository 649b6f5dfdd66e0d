"""Which task queues there are, and which of them a worker process is asked to serve."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from domain.priorities import MAINTENANCE, Priority, delivery_queue, workflow_queue
from settings import SettingsError

# Names for what is usually wanted; by default high priority has processes of its own.
_GROUPS = {"all": ("*",), "high": ("*-high",), "rest": ("*-normal", "*-low", MAINTENANCE)}


def every_queue(channels: Iterable[str]) -> tuple[str, ...]:
    """All queues of an installation with these channels."""
    deliveries = [delivery_queue(channel, priority) for channel in channels for priority in Priority]
    return (*(workflow_queue(priority) for priority in Priority), *deliveries, MAINTENANCE)


def chosen(patterns: str, channels: Iterable[str]) -> Sequence[str]:
    """The queues a comma-separated list of names, globs and groups means. Raises SettingsError for one without any."""
    known = every_queue(channels)
    found: dict[str, None] = {}
    for pattern in (part.strip() for part in patterns.split(",")):
        globs = _GROUPS.get(pattern, (pattern,))
        matching = [queue for queue in known if any(fnmatchcase(queue, glob) for glob in globs)]
        if not matching:
            raise SettingsError(f"--queues: nothing matches {pattern!r}; there are {', '.join((*_GROUPS, *known))}")
        found |= dict.fromkeys(matching)
    return tuple(found)

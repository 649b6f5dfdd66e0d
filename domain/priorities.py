"""How urgent a message is, and the task queues that follow from it."""

from enum import StrEnum

MAINTENANCE = "maintenance"  # sweeps and tidying: an activity queue of its own


class Priority(StrEnum):
    """high: one-time codes, security (< 1 s to the vendor). normal: transactional (< 5 s). low: marketing (< 30 s)."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def key(self) -> int:
        """Temporal's `priority_key`: a smaller number goes first."""
        return {"high": 1, "normal": 3, "low": 5}[self.value]


def workflow_queue(priority: Priority) -> str:
    """Where runs of this priority are worked on. Activities never share it: eager execution bypasses rate limits."""
    return f"workflows-{priority}"


def delivery_queue(channel: str, priority: Priority) -> str:
    """Where this channel's deliveries of this priority are worked on: one channel's trouble stays its own."""
    return f"{channel}-{priority}"

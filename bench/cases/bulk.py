"""`bulk`: 100 notifications of 1,000 recipients each, through a vendor that takes 1,000 in a call."""

from pathlib import Path

from bench.cases.burst import burst, effort
from bench.finding import Figure, Played
from bench.ground import ground

COUNT = 100  # notifications
RECIPIENTS = 1_000  # of each
CLIENTS = 8
GOAL = 5_000  # deliveries a second


async def play(log: Path, *, count: int = COUNT) -> Played:
    """Rates count from the first request until the last delivery was sent, and until it was receipted."""
    async with ground(log) as on:
        ended = await burst(on, "bulk", CLIENTS, count=count, recipients=RECIPIENTS)
        broken = await on.broken()
    return Played(
        [
            Figure("deliveries", len(ended.passages), at_least=count * RECIPIENTS),
            Figure("accepted", ended.accepted * RECIPIENTS, "/s"),
            Figure("sent", ended.sent, "/s", at_least=GOAL),
            Figure("receipted", ended.receipted, "/s"),
            Figure("CPU of all processes", sum(ended.cpu.values()) / len(ended.passages) * 1e6, "µs a delivery"),
        ],
        broken,
        effort(ended),
    )

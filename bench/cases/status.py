"""`status`: 20,000 reads of `GET /status` in bursts, what they cost the writers, and how late a status is."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bench import passages
from bench.cases.burst import Burst, burst, effort
from bench.finding import Figure, Played
from bench.ground import Ground, ground
from bench.numbers import mean, percentile
from bench.reader import Reads, Seen, read_status

READS = 20_000
SECONDS = 30.0  # of each burst
CLIENTS = 256


async def play(log: Path) -> Played:
    """Four bursts on one stack: without reads, with, with, without. So what grows with the tables is fair to both.

    The lag is from the vendor's log to an answer that shows the message sent, seen by asking every 24 ms: it is too
    long by half of that, and by the way of the answer.
    """
    async with ground(log) as on:
        quiet = [await burst(on, "quiet-1", CLIENTS, seconds=SECONDS)]
        read = [await _read_burst(on, "read-1"), await _read_burst(on, "read-2")]
        quiet.append(await burst(on, "quiet-2", CLIENTS, seconds=SECONDS))
        broken = await on.broken()
        taken = passages.vendor_times(on.vendors)
    without, beside = mean([one.receipted for one in quiet]), mean([one.receipted for one, _ in read])
    latencies = [seconds for _, seen in read for seconds in seen.latencies]
    lags = [lag for one, seen in read for lag in _lags(one, seen, taken)]
    return Played(
        [
            Figure("reads", len(latencies), at_least=READS),
            Figure("read p50", percentile(latencies, 0.5) * 1000, "ms"),
            Figure("read p99", percentile(latencies, 0.99) * 1000, "ms", at_most=50),
            Figure("burst without reads, receipted", without, "/s"),
            Figure("burst while read, receipted", beside, "/s"),
            Figure("loss", (1 - beside / without) * 100, "%", at_most=10),
            Figure("changes seen", len(lags)),
            Figure("lag p50", percentile(lags, 0.5) * 1000, "ms"),
            Figure("lag p99", percentile(lags, 0.99) * 1000, "ms", at_most=100),
        ],
        broken,
        effort(read[-1][0]),
    )


async def _read_burst(on: Ground, token: str) -> tuple[Burst, Seen]:
    promised = on.promised(token)
    promised.touch()
    reads = Reads(on.stack.addresses.api, on.key, str(promised), READS / 2 / SECONDS, READS // 2)
    return await asyncio.gather(burst(on, token, CLIENTS, seconds=SECONDS), read_status(reads))


def _lags(one: Burst, seen: Seen, taken: dict[str, float]) -> Sequence[float]:
    of = {p.notification: p.delivery for p in one.passages}
    return [at - taken[of[id]] for id, at in seen.changed.items() if of.get(id) in taken]

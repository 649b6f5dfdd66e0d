"""`naive`: the naive shape, a workflow for each notification, in turn with Clarion as it comes."""

from pathlib import Path

from bench.cases.rounds import round_of
from bench.finding import Figure, Played
from bench.numbers import mean

ROUNDS = 2
SECONDS = 15.0  # of load on Clarion, each round
NAIVE_COUNT = 750  # notifications: it accepts far more in a second than it sends in one
GOAL = 30  # times
SETTINGS = {"CLARION_MAX_BATCH": "1"}


async def play(log: Path) -> Played:
    """Clarion, naive, Clarion, naive: what disturbs the machine for a while disturbs both.

    Compared is the rate until the last one is receipted: a system gains nothing by accepting more than it sends.
    """
    batched: list[float] = []
    naive: list[float] = []
    broken: list[str] = []
    for _ in range(ROUNDS):
        ended, wrong = await round_of(log, seconds=SECONDS)
        batched.append(ended.receipted)
        one_by_one, also_wrong = await round_of(log, SETTINGS, warm=50, count=NAIVE_COUNT)
        naive.append(one_by_one.receipted)
        broken += [*wrong, *also_wrong]
    return Played(
        [
            Figure("Clarion receipted", mean(batched), "/s"),
            Figure("naive receipted", mean(naive), "/s"),
            Figure("Clarion against naive", mean(batched) / mean(naive), "times", at_least=GOAL),
        ],
        broken,
        {"rounds": {"Clarion": batched, "naive": naive}},
    )

"""The model's two tables, as they are printed and as docs/scaling.md shows them."""

from collections.abc import Sequence

from bench.scaling.costs import Costs
from bench.scaling.model import Plan

TIMES = (1, 10, 100)
"""The loads shown, in multiples of the goal."""


def needs(costs: Costs, plans: Sequence[Plan]) -> list[list[str]]:
    """What each load needs: a column each."""
    rows = [[f"{stage}, cores", *(f"{each.cores[stage]:,.1f}" for each in plans)] for stage in costs.stages]
    rows.append(["all, cores", *(f"{sum(each.cores.values()):,.1f}" for each in plans)])
    rows.append(["API processes", *(f"{each.apis:,}" for each in plans)])
    rows.append(["worker processes", *(f"{each.workers:,}" for each in plans)])
    rows.append(["runs/s", *(f"{each.runs:,.0f}" for each in plans)])
    rows.append(["statements/s", *(f"{costs.statements * each.rate:,.0f}" for each in plans)])
    rows.append(["PostgreSQL's disk, GB an hour", *(f"{costs.disk * each.rate * 3600 / 1e9:,.0f}" for each in plans)])
    return rows


def limits(plans: Sequence[Plan]) -> list[list[str]]:
    """Every limit, the nearest at the largest load first."""
    rows: list[list[str]] = []
    for wall in plans[-1].walls:
        shares = [next(w.share for w in each.walls if w.name == wall.name) for each in plans]
        said = [f"{share:,.0%}" for share in shares]
        rows.append([wall.name, *said, f"{wall.limit:,.0f} {wall.unit}".rstrip(), wall.then])
    return rows

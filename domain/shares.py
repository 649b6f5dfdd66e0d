"""Who may still have some of what is short: one that has much leaves a reserve to those that have little."""

RESERVE = 0.25  # of a limit, on top of it, for owners that hold less than an even share


def room(own: int, total: int, limit: int, owners: int) -> int:
    """How much more this owner may have. `owners`: how many hold any of it, this one counted."""
    if total < limit:
        return limit - total
    even = limit / max(1, owners)
    return max(0, int(limit * (1 + RESERVE)) - total) if own < even and owners > 1 else 0


def least(own: int, limit: int, owners: int) -> int:
    """The same for where others hold more than the limit, that was higher when they took it: one with little waits not.

    All owners together get no more by it than the limit.
    """
    return max(0, int(min(limit * RESERVE, limit / owners)) - own) if owners > 1 else 0

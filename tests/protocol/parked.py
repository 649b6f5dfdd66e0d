"""Two-sided matching of receipts that name a vendor's message id only: all orders of the two sides."""


def loses(*, commit_first: bool) -> bool:
    """Can a receipt be lost while its message id is being recorded?

    Each of the two sides commits what it has (c) and looks for what the other committed (l).
    """
    order = "cl" if commit_first else "lc"

    def lost(at: tuple[int, int], committed: frozenset[int], matched: bool) -> bool:
        if at == (2, 2):
            return not matched
        for side in (0, 1):
            if at[side] == 2:
                continue
            step = order[at[side]]
            next_at = (at[0] + 1, at[1]) if side == 0 else (at[0], at[1] + 1)
            now = committed | {side} if step == "c" else committed
            if lost(next_at, now, matched or (step == "l" and 1 - side in committed)):
                return True
        return False

    return lost((0, 0), frozenset(), False)

"""The order in which a route's providers are taken for new messages, from how they stand and what an operator wants."""

from collections.abc import Mapping, Sequence

from domain.operators import Switch
from throttle.words import Breaker, View


def route_now(
    route: Sequence[str], views: Mapping[str, View], draw: float, weights: Mapping[str, float] | None = None
) -> tuple[str, ...]:
    """The providers new messages may be queued for, best first; empty when an operator has stopped all of them.

    Without weights the order is the route's. With one or more (the channel's `weights`, an operator's own before
    them) the first is drawn by weight among those that work: `draw` is a number in [0, 1), random or a hash; one
    without a weight, or of weight 0, is then only a fallback. Behind those that work come those that do not, the
    soonest to be tried again first: when no provider works, messages wait there.
    """
    wanted = [name for name in route if name not in views or views[name].operator.switch is Switch.ENABLED]
    able = working(wanted, views)
    waiting = sorted((name for name in wanted if name not in able), key=lambda name: _away(views[name]))
    first = _drawn(able, views, draw, weights or {})
    return (*first, *(name for name in able if name not in first), *waiting)


def working(route: Sequence[str], views: Mapping[str, View]) -> tuple[str, ...]:
    """The providers that take new messages now; of whom nothing is known is taken to."""
    return tuple(name for name in route if name not in views or views[name].takes_new)


def probes_due(route: Sequence[str], views: Mapping[str, View]) -> tuple[str, ...]:
    """Providers whose breaker is not closed: ask `Gate.admit(name, 1, priority)` for a probe before a chunk goes on.

    Those of low and normal priority should ask at every chunk, also too early: that is how the gate knows that low
    traffic exists and keeps the next probe for it.
    """
    return tuple(
        name
        for name in route
        if name in views
        and views[name].breaker is not Breaker.CLOSED
        and views[name].operator.switch is Switch.ENABLED
        and not views[name].paused_for
    )


def _away(view: View) -> float:
    return max(view.paused_for, view.probe_in)


def _drawn(
    names: Sequence[str], views: Mapping[str, View], draw: float, weights: Mapping[str, float]
) -> tuple[str, ...]:
    """The one drawn by weight; empty when no weight is set among these."""
    shares = {name: _weight(name, views, weights) for name in names}
    mark = draw * sum(shares.values())
    for name, share in shares.items():
        if mark < share:
            return (name,)
        mark -= share
    return ()


def _weight(name: str, views: Mapping[str, View], weights: Mapping[str, float]) -> float:
    own = views[name].operator.weight if name in views else None
    return weights.get(name, 0.0) if own is None else own

"""The order of providers for new messages."""

from collections import Counter

from domain.operators import Operator, Switch
from throttle.routing import probes_due, route_now
from throttle.words import Breaker, View

ROUTE = ("first", "second", "third")


def view(
    name: str,
    breaker: Breaker = Breaker.CLOSED,
    switch: Switch = Switch.ENABLED,
    weight: float | None = None,
    probe_in: float = 0.0,
    paused_for: float = 0.0,
) -> View:
    return View(name, Operator(switch, "", weight), breaker, None, None, probe_in, paused_for)


def views(*known: View) -> dict[str, View]:
    return {one.provider: one for one in known}


def test_without_views_it_is_the_channels_own() -> None:
    assert route_now(ROUTE, {}, 0.5) == ROUTE


def test_those_that_do_not_work_come_last_the_soonest_back_first() -> None:
    known = views(view("first", Breaker.OPEN, probe_in=4), view("second", paused_for=2), view("third"))
    assert route_now(ROUTE, known, 0.5) == ("third", "second", "first")


def test_a_half_open_breaker_gets_probes_not_traffic() -> None:
    assert route_now(ROUTE, views(view("first", Breaker.HALF_OPEN)), 0.5) == ("second", "third", "first")


def test_stopped_ones_are_left_out() -> None:
    known = views(view("first", switch=Switch.DISABLED), view("second", switch=Switch.DRAINING), view("third"))
    assert route_now(ROUTE, known, 0.5) == ("third",)
    assert route_now(ROUTE[:2], known, 0.5) == ()


def test_weights_share_and_an_operators_own_go_first() -> None:
    known = views(view("first", weight=1.0), view("second"))
    drawn = Counter(route_now(ROUTE, known, n / 1000, {"first": 9.0, "second": 3.0})[0] for n in range(1000))
    assert drawn == {"first": 250, "second": 750}


def test_weight_zero_is_the_last_resort() -> None:
    known = views(view("first", weight=0.0), view("second"), view("third", Breaker.OPEN))
    assert route_now(ROUTE, known, 0.0, {"second": 1.0}) == ("second", "first", "third")
    assert route_now(("first",), known, 0.999) == ("first",)


def test_a_broken_providers_share_goes_to_the_others() -> None:
    known = views(view("first", Breaker.OPEN, weight=9.0), view("second", weight=1.0))
    assert {route_now(ROUTE, known, n / 10)[0] for n in range(10)} == {"second"}


def test_who_is_asked_for_a_probe() -> None:
    known = views(
        view("first", Breaker.OPEN, probe_in=4),
        view("second", Breaker.HALF_OPEN, switch=Switch.DISABLED),
        view("third", Breaker.HALF_OPEN, paused_for=1),
    )
    assert probes_due(ROUTE, known) == ("first",)

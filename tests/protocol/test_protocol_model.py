"""The protocol is clean, and every guard of it is needed. It may be changed only together with this."""

import pytest
from cases import CASES
from guards import GUARDS
from parked import loses
from protocol_model import Protocol
from search import search


@pytest.mark.parametrize("case", CASES)
def test_the_protocol_keeps_its_promises_in_every_order_of_events(case: str) -> None:
    found = search(Protocol(**CASES[case]))
    assert found.broken == {}
    assert found.states > 1000


@pytest.mark.parametrize("guard", GUARDS)
def test_without_this_guard_a_promise_breaks(guard: str) -> None:
    assert any(search(Protocol([guard], **case), stop=True).broken for case in CASES.values())


def test_a_parked_receipt_is_found_if_both_sides_commit_before_they_look() -> None:
    assert not loses(commit_first=True)
    assert loses(commit_first=False)

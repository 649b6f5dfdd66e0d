"""The table of states: closed, told truly in the papers, and what the outside is told follows from it."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.deliveries import (
    COUNTED,
    OPEN,
    TERMINAL,
    TRANSITIONS,
    WELL_ENDED,
    Status,
    Step,
    channel_status,
    outside,
    overall_status,
)

S = Status
PAPER = Path(__file__).parents[2] / "docs" / "protocol.md"
COUNTS = st.dictionaries(st.sampled_from(Status), st.integers(1, 5), min_size=1)


def names(cell: str) -> list[Status]:
    return [Status(name.strip()) for name in cell.split(",")]


def told() -> dict[Step, dict[Status, frozenset[Status]]]:
    """The table of steps as docs/protocol.md tells it."""
    table: dict[Step, dict[Status, frozenset[Status]]] = {}
    section = PAPER.read_text().partition("## Steps")[2].partition("**Claim")[0]
    for step, old, new in re.findall(r"^\| (\w+) \| ([\w, ]+) \| ([\w, ]+) \|", section, re.MULTILINE):
        if step == "step":
            continue
        for status in names(old):
            table.setdefault(Step(step), {})[status] = frozenset(names(new))
    return table


def test_the_paper_tells_the_table() -> None:
    assert told() == TRANSITIONS


def test_every_step_but_the_first_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(Step) - {Step.ACCEPT}


def test_every_open_state_has_a_way_out_without_a_person_or_a_receipt() -> None:
    alone = (Step.CLAIM, Step.ABANDON, Step.SETTLE)
    for status in OPEN:
        assert any(TRANSITIONS[step].get(status) for step in alone), status


def test_every_open_state_leads_to_an_end() -> None:
    ends = set(TERMINAL)
    while True:
        lead = {old for moves in TRANSITIONS.values() for old, new in moves.items() if new & ends} - ends
        if not lead:
            break
        ends |= lead
    assert ends == set(Status)


def test_only_a_receipt_or_a_person_moves_what_has_ended() -> None:
    for step, moves in TRANSITIONS.items():
        if step not in (Step.RECEIPT, Step.RETRY, Step.DISCARD):
            assert not moves.keys() & TERMINAL, step


def test_what_is_counted_is_open_and_what_ended_well_is_terminal() -> None:
    assert COUNTED <= OPEN
    assert WELL_ENDED <= TERMINAL


@given(COUNTS)
def test_a_channel_that_is_open_shows_an_open_state_and_one_that_ended_none(counts: dict[Status, int]) -> None:
    possible = OPEN if counts.keys() & OPEN else TERMINAL
    mixed = set[str]() if possible is OPEN else {"PARTIAL_FAILURE"}
    assert channel_status(counts) in {outside(status) for status in possible} | mixed


@given(COUNTS, st.booleans())
def test_the_overall_status_follows_from_the_deliveries(counts: dict[Status, int], scheduled: bool) -> None:
    overall = overall_status(counts, scheduled=scheduled)
    present = counts.keys()
    assert (overall in ("SCHEDULED", "ENQUEUED", "PROCESSING")) == bool(present & OPEN)
    assert (overall == "COMPLETED") == (present <= WELL_ENDED)
    assert (overall == "PARTIAL_FAILURE") == (
        not present & OPEN and bool(present & WELL_ENDED) and not present <= WELL_ENDED
    )


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ({S.DELIVERED: 3, S.SENT: 1}, "SENT"),
        ({S.DELIVERED: 3, S.SENT: 1, S.QUEUED: 1}, "QUEUED"),
        ({S.SENDING: 1, S.IN_DOUBT: 1}, "SENDING"),
        ({S.DELIVERED: 3, S.FAILED: 1}, "PARTIAL_FAILURE"),
        ({S.DEAD: 3, S.FAILED: 1}, "FAILED"),
        ({S.DEAD: 3}, "DEAD"),
        ({S.SENT_FINAL: 2}, "SENT"),
        ({S.SENT_FINAL: 2, S.DELIVERED: 1}, "SENT"),
        ({S.UNCONFIRMED: 1, S.DELIVERED: 1}, "UNCONFIRMED"),
        ({S.SUPPRESSED: 1}, "SUPPRESSED"),
    ],
)
def test_what_a_channel_shows(counts: dict[Status, int], shown: str) -> None:
    assert channel_status(counts) == shown


@pytest.mark.parametrize(
    ("counts", "scheduled", "shown"),
    [
        ({S.QUEUED: 2}, True, "SCHEDULED"),
        ({S.QUEUED: 2, S.SUPPRESSED: 1}, False, "ENQUEUED"),
        ({S.QUEUED: 2, S.SENDING: 1}, False, "PROCESSING"),
        ({S.CANCELLED: 2}, False, "CANCELLED"),
        ({S.CANCELLED: 2, S.DELIVERED: 1}, False, "PARTIAL_FAILURE"),
        ({S.EXPIRED: 2}, False, "FAILED"),
        ({S.DELIVERED: 1, S.SENT_FINAL: 1, S.UNCONFIRMED: 1}, False, "COMPLETED"),
    ],
)
def test_what_a_notification_shows(counts: dict[Status, int], scheduled: bool, shown: str) -> None:
    assert overall_status(counts, scheduled=scheduled) == shown

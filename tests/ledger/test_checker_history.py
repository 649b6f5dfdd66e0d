"""The checker's reading of one delivery's events: pure, each rule of the path broken once."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.deliveries import Status
from ledger.checking.history import Event, History, read

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

ACCEPT = ("accept", None, "queued", 0, 0)
CLAIM = ("claim", "queued", "sending", 1, 1)
SENT = ("record", "sending", "sent", 1, 1)
DELIVERED = ("receipt", "sent", "delivered", 1, 1)
DOUBT = ("record", "sending", "in_doubt", 1, 1)
AGAIN = ("settle", "in_doubt", "queued", 1, 1)
SECOND = ("claim", "queued", "sending", 2, 2)


def followed(*events: tuple[str, str | None, str, int, int]) -> History:
    return read(Event(NOON + timedelta(seconds=n), *event) for n, event in enumerate(events))


def faults(history: History) -> list[str]:
    return history.off_path + history.off_count


def test_the_usual_way_has_no_fault() -> None:
    history = followed(ACCEPT, CLAIM, SENT, DELIVERED)
    assert faults(history) == []
    assert (history.status, history.attempt, history.key_no) == (Status.DELIVERED, 1, 1)
    assert (history.doubts, history.duplicates, history.yes) == (0, 0, {1})
    assert history.claimed_at == {1: NOON + timedelta(seconds=1)}


def test_a_second_send_under_doubt_is_counted() -> None:
    history = followed(ACCEPT, CLAIM, DOUBT, AGAIN, SECOND, ("record", "sending", "sent", 2, 2))
    assert faults(history) == []
    assert (history.doubts, history.duplicates) == (1, 1)


def test_a_repeat_under_the_same_key_is_not_counted() -> None:
    history = followed(ACCEPT, CLAIM, DOUBT, ("resume", "in_doubt", "sending", 2, 1))
    assert faults(history) == []
    assert (history.doubts, history.duplicates) == (1, 0)


@pytest.mark.parametrize(
    ("ending", "doubts"),
    [
        (("record", "in_doubt", "sent", 1, 1), 0),
        (("record", "in_doubt", "queued", 1, 1), 0),
        (("receipt", "in_doubt", "undelivered", 1, 1), 0),
        (("receipt", "in_doubt", "delivered", 1, 1), 1),
        (("settle", "in_doubt", "dead", 1, 1), 1),
    ],
)
def test_a_definite_answer_ends_a_doubt(ending: tuple[str, str, str, int, int], doubts: int) -> None:
    history = followed(ACCEPT, CLAIM, DOUBT, ending)
    assert faults(history) == []
    assert history.doubts == doubts


def test_silence_that_is_sent_again_is_a_doubt() -> None:
    assert followed(ACCEPT, CLAIM, SENT, ("settle", "sent", "queued", 1, 1), SECOND).duplicates == 1


def test_a_bounce_is_no_doubt() -> None:
    history = followed(ACCEPT, CLAIM, SENT, ("receipt", "sent", "undelivered", 1, 1))
    assert (history.doubts, history.bounced) == (0, 1)


def test_what_came_too_late_changes_nothing() -> None:
    late = followed(ACCEPT, CLAIM, DOUBT, AGAIN, SECOND, ("record", "sending", "sending", 1, 1))
    assert faults(late) == []
    assert (late.status, late.attempt) == (Status.SENDING, 2)


def test_settle_may_move_a_queued_row_to_another_provider() -> None:
    assert faults(followed(ACCEPT, ("settle", "queued", "queued", 0, 0), CLAIM)) == []


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ((), "no beginning"),
        ((CLAIM,), "no beginning"),
        ((("accept", None, "sent", 0, 0),), "no beginning"),
        ((ACCEPT, ACCEPT), "no beginning"),
        ((ACCEPT, SENT), "from sending, but it was queued"),
        ((ACCEPT, CLAIM, SENT, DELIVERED, ("record", "delivered", "sent", 1, 1)), "may not move delivered -> sent"),
        ((ACCEPT, ("receipt", "queued", "sent", 0, 0)), "may not move"),
        ((ACCEPT, ("magic", "queued", "sending", 1, 1)), "unknown words"),
        ((ACCEPT, ("record", "sent", "sent", 0, 0)), "notes sent, where it never was"),
        ((ACCEPT, ("claim", "queued", "sending", 1, 2)), "key 0 -> 2"),
        ((ACCEPT, ("claim", "queued", "sending", 0, 1)), "attempt 0 -> 0"),
        ((ACCEPT, CLAIM, ("record", "sending", "sent", 2, 1)), "attempt 1 -> 2"),
        ((ACCEPT, CLAIM, DOUBT, ("resume", "in_doubt", "sending", 2, 2)), "key 1 -> 2"),
        ((ACCEPT, CLAIM, ("record", "sending", "sending", 2, 2)), "before its claim"),
        ((("accept", None, "queued", 1, 0),), "accepted as attempt 1"),
    ],
)
def test_each_fault_is_named(events: tuple[tuple[str, str | None, str, int, int], ...], said: str) -> None:
    [fault] = faults(followed(*events))[:1]
    assert said in fault

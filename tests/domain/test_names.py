"""Ids, keys, addresses and policies: read back as written, and nothing else is read."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.addresses import email_address, phone_number, push_token
from domain.channels import EMAIL, PUSH, SMS
from domain.ids import DeliveryId, SendKey, new_id
from domain.priorities import MAINTENANCE, Priority, delivery_queue, workflow_queue

COUNT = st.integers(0, 999_999_999)
DELIVERY = st.builds(DeliveryId, st.uuids(), COUNT)
KEY = st.builds(SendKey, DELIVERY, COUNT)


@given(DELIVERY)
def test_a_delivery_id_is_read_back_as_written(delivery: DeliveryId) -> None:
    assert DeliveryId.parse(str(delivery)) == delivery


@given(KEY)
def test_a_send_key_is_read_back_as_written(key: SendKey) -> None:
    assert SendKey.parse(str(key)) == key


@given(
    st.one_of(
        st.text(),
        st.builds(lambda key, place, text: str(key)[:place] + text + str(key)[place + 1 :], KEY, COUNT, st.text()),
        st.builds(lambda key: str(key).upper(), KEY),
    )
)
def test_whatever_else_is_read_would_have_been_written_so(text: str) -> None:
    for kind in (DeliveryId, SendKey):
        try:
            found = kind.parse(text)
        except ValueError:
            continue
        assert str(found) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "01912d68-783e-7a03-8467-5661c1243ad4",
        "01912d68-783e-7a03-8467-5661c1243ad4.",
        "01912d68-783e-7a03-8467-5661c1243ad4.-1",
        "01912d68-783e-7a03-8467-5661c1243ad4.01",
        "01912d68-783e-7a03-8467-5661c1243ad4.\u0661",
        "01912d68-783e-7a03-8467-5661c1243ad4.9999999999",
        "{1912d68783e7a0384675661c1243ad4}0000.1",
    ],
)
def test_damaged_ids_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        DeliveryId.parse(text)


def test_ids_sort_by_the_time_they_were_made() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(ids)
    assert all(isinstance(one, UUID) and one.version == 7 for one in ids)


@given(st.text(max_size=300))
def test_addresses_are_in_normal_form_or_refused_with_a_sentence(text: str) -> None:
    for parse in (email_address, phone_number, push_token):
        try:
            normal = parse(text)
        except ValueError as error:
            assert str(error)
            continue
        assert parse(normal) == normal
        assert "\x00" not in normal


@pytest.mark.parametrize("channel", [EMAIL, SMS, PUSH], ids=lambda channel: channel.name)
def test_the_policy_of_a_channel_is_the_one_promised(channel: object) -> None:
    assert channel.retry == (1, 2, 4, 8, 16)  # type: ignore[attr-defined]
    assert channel.tries == 6  # type: ignore[attr-defined]
    assert channel.timeout[Priority.HIGH] == 3  # type: ignore[attr-defined]


def test_queues_of_runs_and_of_activities_are_never_the_same() -> None:
    runs = {workflow_queue(priority) for priority in Priority}
    work = {delivery_queue(channel, priority) for channel in ("email", "sms", "push") for priority in Priority}
    assert not runs & (work | {MAINTENANCE})
    assert len(runs) == 3
    assert len(work) == 9

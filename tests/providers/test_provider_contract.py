"""What every provider must do, whoever its vendor is: one class, run for each."""

import asyncio
import os
import time
from pathlib import Path
from uuid import uuid4

import pytest
from vendor_side import PATIENT, TEXT, TRACEPARENT, VENDORS, Make, Sandbox, Vendor, message, unanswered

from domain.messages import Content, Message
from domain.outcomes import Answer, Outcome
from providers.base import Provider
from providers.registry import provider_classes
from sandbox.credentials import load_or_create
from settings import SettingsError

CASES = [pytest.param(vendor, id=vendor.name) for vendor in VENDORS.values()]


ASKABLE = [
    pytest.param(vendor, id=vendor.name) for vendor in VENDORS.values() if provider_classes()[vendor.name].card.lookup
]


def _answers(outcome: Outcome) -> list[object]:
    return [
        pytest.param(vendor, status, id=f"{vendor.name}-{status}")
        for vendor in VENDORS.values()
        for status in vendor.answers.get(outcome, ())
    ]


async def _send(provider: Provider, vendor: Vendor, timeout: float = PATIENT) -> Answer:
    (answer,) = await provider.send([message(vendor.address)], timeout)
    assert not _leaks(answer), answer
    return answer


def _silence(vendor: Vendor) -> float:
    """How long to wait for an answer that never comes: long enough that the request has left when the time is over.

    On a kept connection it leaves at once, by SMTP only after two answers.
    """
    return 3 if vendor.name == "smtp" else 0.5


def _unlike_any_other(vendor: Vendor) -> Message:
    """Also unlike those of earlier tests: a vendor does not forget."""
    text = f"Text {uuid4()}"
    return message(vendor.address, content=Content(text=text, subject=text))


def _leaks(answer: Answer) -> bool:
    """Does the reason quote an address or content?"""
    reason = (answer.reason or "").lower()
    return any(secret in reason for secret in ("ada", "lovelace", "@", "4155550123", "493817", "127.0.0.1"))


def test_every_provider_is_tested() -> None:
    assert set(provider_classes()) == set(VENDORS)


class TestEveryProvider:
    @pytest.mark.parametrize("vendor", CASES)
    async def test_hands_over_and_gets_an_id_where_the_vendor_gives_one(
        self, vendor: Vendor, make: Make, vendors: Sandbox
    ) -> None:
        await vendors.rule(vendor.name, receipt={"report": "none"})
        answer = await _send(make(vendor.name), vendor)
        assert answer.outcome is Outcome.ACCEPTED
        assert answer.reason is None
        (taken,) = await vendors.log(vendor.name)
        assert taken["to"] == vendor.address
        assert TEXT in taken["text"]
        if vendor.name != "smtp":
            assert answer.message_id == taken["message_id"]

    @pytest.mark.parametrize("vendor", CASES)
    async def test_the_key_and_the_trace_go_along(self, vendor: Vendor, make: Make, vendors: Sandbox) -> None:
        await vendors.rule(vendor.name, receipt={"report": "none"})
        sent = message(vendor.address)
        await make(vendor.name).send([sent], PATIENT)
        (taken,) = await vendors.log(vendor.name)
        # SES allows no dots in a tag.
        assert taken["key"].replace("_", ".") == str(sent.key)
        assert taken["traceparent"] == TRACEPARENT

    @pytest.mark.parametrize(("vendor", "status"), _answers(Outcome.REJECTED))
    async def test_a_message_the_vendor_will_never_take_is_rejected(
        self, vendor: Vendor, status: int, make: Make, vendors: Sandbox
    ) -> None:
        await vendors.rule(vendor.name, answer={"status": status})
        answer = await _send(make(vendor.name), vendor)
        assert answer.outcome is Outcome.REJECTED
        assert str(status) in (answer.reason or "")

    @pytest.mark.parametrize(("vendor", "status"), _answers(Outcome.RETRYABLE))
    async def test_a_passing_fault_is_retryable_and_then_it_works(
        self, vendor: Vendor, status: int, make: Make, vendors: Sandbox
    ) -> None:
        quiet = {"receipt": {"report": "none"}}
        rules = [{"answer": {"status": status}, "first": 1}, quiet]
        await vendors.settings(vendor.name, rules=rules)
        provider = make(vendor.name)
        assert (await _send(provider, vendor)).outcome is Outcome.RETRYABLE
        assert (await _send(provider, vendor)).outcome is Outcome.ACCEPTED

    @pytest.mark.parametrize(("vendor", "status"), _answers(Outcome.THROTTLED))
    async def test_too_many_is_throttled_until_the_time_the_vendor_names(
        self, vendor: Vendor, status: int, make: Make, vendors: Sandbox
    ) -> None:
        await vendors.rule(vendor.name, answer={"status": status, "retry_after": 300})
        answer = await _send(make(vendor.name), vendor)
        assert answer.outcome is Outcome.THROTTLED
        assert answer.retry_after is not None
        if vendor.name == "smtp":  # has no way to name a time
            assert answer.retry_after == 1
        else:
            assert 240 < answer.retry_after <= 300

    @pytest.mark.parametrize(("vendor", "status"), _answers(Outcome.VENDOR_DOWN))
    async def test_a_closed_account_is_the_vendors_not_the_messages_fault(
        self, vendor: Vendor, status: int, make: Make, vendors: Sandbox
    ) -> None:
        # FCM's 403 is also said of a token of another project, so its 401 is asked for, as of the others.
        await vendors.rule(vendor.name, answer={"status": status})
        assert (await _send(make(vendor.name), vendor)).outcome is Outcome.VENDOR_DOWN

    @pytest.mark.parametrize(("vendor", "status"), _answers(Outcome.IN_DOUBT))
    async def test_a_gateways_error_leaves_a_doubt(
        self, vendor: Vendor, status: int, make: Make, vendors: Sandbox
    ) -> None:
        await vendors.rule(vendor.name, answer={"status": status})
        assert (await _send(make(vendor.name), vendor)).outcome is Outcome.IN_DOUBT

    @pytest.mark.parametrize("vendor", CASES)
    async def test_a_refused_connection_means_the_vendor_is_down(
        self, vendor: Vendor, make: Make, vendors: Sandbox, closed_port: int
    ) -> None:
        nowhere = load_or_create(vendors.data_dir).environment(f"http://127.0.0.1:{closed_port}", closed_port)
        provider = make(vendor.name, **nowhere)
        assert (await _send(provider, vendor)).outcome is Outcome.VENDOR_DOWN
        with pytest.raises(SettingsError):
            await provider.check()

    @pytest.mark.parametrize("moment", ["before", "after"])
    @pytest.mark.parametrize("vendor", CASES)
    async def test_silence_after_the_request_is_a_doubt_and_bounded_in_time(
        self, vendor: Vendor, moment: str, make: Make, vendors: Sandbox
    ) -> None:
        provider = make(vendor.name)
        rules = [{"first": 1}, {"hang": moment}]
        await vendors.settings(vendor.name, rules=rules)
        await _send(provider, vendor)  # a connection, a client and an access token are there
        began, silence = time.monotonic(), _silence(vendor)
        assert (await _send(provider, vendor, timeout=silence)).outcome is Outcome.IN_DOUBT
        assert silence * 0.8 < time.monotonic() - began < 30  # less than any limit but ours

    @pytest.mark.parametrize("vendor", CASES)
    async def test_an_answer_cut_in_the_middle_is_a_doubt(self, vendor: Vendor, make: Make, vendors: Sandbox) -> None:
        await vendors.rule(vendor.name, reset=True)
        assert (await _send(make(vendor.name), vendor)).outcome is Outcome.IN_DOUBT
        assert len(await vendors.log(vendor.name)) == 1

    @pytest.mark.parametrize("vendor", CASES)
    async def test_one_send_is_one_call_whatever_happens(self, vendor: Vendor, make: Make, vendors: Sandbox) -> None:
        provider = make(vendor.name)
        rules = [{"first": 1, **rule} for rule in ({}, {"hang": "after"}, {"reset": True})]
        await vendors.settings(vendor.name, rules=rules)
        timeouts = (PATIENT, _silence(vendor), PATIENT, PATIENT)
        outcomes = [(await _send(provider, vendor, timeout)).outcome for timeout in timeouts]
        assert outcomes == [Outcome.ACCEPTED, Outcome.IN_DOUBT, Outcome.IN_DOUBT, Outcome.ACCEPTED]
        assert len(await vendors.log(vendor.name)) == 4

    @pytest.mark.parametrize("vendor", CASES)
    async def test_wrong_credentials_are_the_vendors_no_and_check_says_so(
        self, vendor: Vendor, make: Make, vendors: Sandbox, tmp_path: Path
    ) -> None:
        wrong = dict(vendor.wrong)
        if vendor.name == "fcm":
            wrong["CLARION_FCM_CREDENTIALS"] = load_or_create(tmp_path).environment(vendors.url, 1)[
                "CLARION_FCM_CREDENTIALS"
            ]
        provider = make(vendor.name, **wrong)
        assert (await _send(provider, vendor)).outcome is Outcome.VENDOR_DOWN
        assert await vendors.log(vendor.name) == []
        with pytest.raises(SettingsError, match=f"CLARION_{vendor.name.upper()}_"):
            await provider.check()

    @pytest.mark.parametrize("vendor", CASES)
    async def test_check_finds_right_credentials_right_and_sends_nothing(
        self, vendor: Vendor, make: Make, vendors: Sandbox
    ) -> None:
        assert await make(vendor.name).check()
        assert await vendors.log(vendor.name) == []

    @pytest.mark.parametrize("vendor", CASES)
    async def test_many_at_once_are_all_answered(self, vendor: Vendor, make: Make, vendors: Sandbox) -> None:
        await vendors.rule(vendor.name, receipt={"report": "none"})
        provider = make(vendor.name)
        answers = await asyncio.gather(*(_send(provider, vendor) for _ in range(50)))
        assert {answer.outcome for answer in answers} == {Outcome.ACCEPTED}
        assert len({line["key"] for line in await vendors.log(vendor.name)}) == 50

    @pytest.mark.parametrize("vendor", CASES)
    async def test_a_missing_setting_is_named(
        self, vendor: Vendor, vendors: Sandbox, environment: pytest.MonkeyPatch
    ) -> None:
        cls = provider_classes()[vendor.name]
        with pytest.raises(SettingsError, match=f"^CLARION_{vendor.name.upper()}_"):
            cls()
        assert not any(name.startswith("CLARION_") for name in os.environ)

    @pytest.mark.parametrize("vendor", CASES)
    def test_the_card_names_the_provider_and_its_channel(self, vendor: Vendor) -> None:
        card = provider_classes()[vendor.name].card
        assert card.name == vendor.name
        assert card.channel == {"@": "email", "+": "sms"}.get(
            next((c for c in vendor.address if c in "@+"), ""), "push"
        )
        assert card.receipts is (vendor.name in {"sendgrid", "ses", "twilio"})


class TestEveryProviderThatCanBeAsked:
    @pytest.mark.parametrize("vendor", ASKABLE)
    async def test_what_it_took_without_an_answer_is_found_and_nothing_is_sent_by_asking(
        self, vendor: Vendor, make: Make, vendors: Sandbox
    ) -> None:
        provider = make(vendor.name)
        rules = [{"first": 1}, {"hang": "after", "receipt": {"report": "none"}}]
        await vendors.settings(vendor.name, rules=rules)
        await provider.send([_unlike_any_other(vendor)], PATIENT)  # a connection is there
        sent = _unlike_any_other(vendor)
        assert (await provider.send([sent], _silence(vendor)))[0].outcome is Outcome.IN_DOUBT
        while len(log := await vendors.log(vendor.name)) < 2:  # a busy machine takes the message after we gave up
            await asyncio.sleep(0.05)
        _, lost = log
        await asyncio.sleep(1.1)  # vendors' times are whole seconds: the answer must not seem older than the message
        found = await provider.look_up([unanswered(sent)], PATIENT)
        assert found == [[lost["message_id"]]]

    @pytest.mark.parametrize("vendor", ASKABLE)
    async def test_what_it_never_took_is_not_found(self, vendor: Vendor, make: Make, vendors: Sandbox) -> None:
        provider = make(vendor.name)
        rules = [{"first": 1}, {"hang": "before"}]
        await vendors.settings(vendor.name, rules=rules)
        await provider.send([_unlike_any_other(vendor)], PATIENT)
        sent = _unlike_any_other(vendor)
        assert (await provider.send([sent], _silence(vendor)))[0].outcome is Outcome.IN_DOUBT
        assert await provider.look_up([unanswered(sent)], PATIENT) == [[]]

    @pytest.mark.parametrize("vendor", ASKABLE)
    async def test_one_that_cannot_be_asked_says_so(
        self, vendor: Vendor, make: Make, vendors: Sandbox, closed_port: int
    ) -> None:
        sends = [unanswered(message(vendor.address)) for _ in range(20)]
        assert await make(vendor.name, **vendor.wrong).look_up(sends, PATIENT) == [None] * 20
        nowhere = load_or_create(vendors.data_dir).environment(f"http://127.0.0.1:{closed_port}", closed_port)
        assert await make(vendor.name, **nowhere).look_up(sends, PATIENT) == [None] * 20

"""The judge of `make bench-failover` finds what it is to find, and the forwarder refuses when it is closed."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from bench.failover import shares
from bench.failover.cases import OTHER, VENDOR, Case, Kind
from bench.failover.facts import Change, Claim
from bench.failover.forwarder import Forwarder
from bench.failover.judging import judged
from bench.failover.play import Moments, Played
from bench.verdict import Verdict
from ledger.checking.reading import Unfinished
from ledger.checking.report import Invariant, Report

BEGAN, FAULT, HEALED, ENDED = 1000.0, 1010.0, 1040.0, 1070.0
OPENED, CLOSED = FAULT + 2, HEALED + 15
PROBES = [OPENED + 5.0 * n for n in range(1, 9)]


def claims(times: Iterable[float], provider: str = VENDOR, priority: str = "low") -> list[Claim]:
    return [Claim(at, provider, f"{at}", priority) for at in times]


def every(gap: float, first: float, end: float) -> list[float]:
    return [first + n * gap for n in range(round((end - first) / gap))]


def verdict(lost: int = 0, left: int = 0, report: Report | None = None) -> Verdict:
    return Verdict(100, lost, 0, 0, Unfinished(open=left, dead=0, looks=0), report or Report())


def played(case: Case, *more: Claim) -> Played:
    """A case that went well: fails over within 2 s, probes every 5 s, and is back 15 s after healing."""
    gap = 1 / case.rate
    ours = claims([*every(gap, BEGAN, OPENED), *PROBES, *every(gap, CLOSED, ENDED)])
    others = claims(every(gap, OPENED, CLOSED), OTHER, "normal")
    return Played(
        case=case,
        moments=Moments(BEGAN, FAULT, HEALED, ENDED),
        claims=sorted([*ours, *others, *more], key=lambda claim: claim.at),
        changes=[Change(OPENED, "open", "slow"), Change(HEALED + 1, "half_open", ""), Change(CLOSED, "closed", "")],
        calls=[claim.at for claim in ours],
        accepted_per_s=case.rate,
        sent_per_s=case.rate,
        turned_away=0,
        verdict=verdict(),
        duplicates=0,
    )


AT_1, AT_20 = Case(Kind.HANGING, 1), Case(Kind.HANGING, 20)


@pytest.mark.parametrize("case", [AT_1, AT_20])
def test_a_good_case_breaks_nothing(case: Case) -> None:
    found = judged(played(case))
    assert found.broken == []
    assert (found.tried, found.probes) == (2 * case.rate, len(PROBES))
    assert found.opened == OPENED - FAULT
    assert found.back == pytest.approx(CLOSED - HEALED, abs=5)


def broken(case: Played) -> str:
    return "; ".join(judged(case).broken)


def test_a_sixth_message_at_one_a_second_is_too_many() -> None:
    more = claims([FAULT + 0.1 * n for n in range(1, 5)])
    assert broken(replace(played(AT_1, *more), calls=[0.0])) == "6 messages tried the dead vendor; at most 5 may"


def test_another_try_of_the_same_message_is_no_other_message() -> None:
    again = [Claim(FAULT + 0.1 * n, VENDOR, f"{FAULT}", "low") for n in range(1, 9)]
    assert judged(played(AT_1, *again)).tried == 2


def test_a_silent_vendor_cannot_be_noticed_before_its_receipts_are_due() -> None:
    found = judged(played(Case(Kind.SILENT, 1), *claims([FAULT + 0.1 * n for n in range(1, 9)])))
    assert (found.tried, found.tried_late) == (10, 0)
    assert found.broken == []


def test_two_claims_more_in_two_seconds_are_a_share_too_large() -> None:
    assert "had 7.0% of some 2 s" in broken(played(AT_20, *claims([FAULT + 16.8, FAULT + 16.81])))


def test_probes_have_a_distance_and_no_high_priority() -> None:
    assert "two probes within 2.5 s" in broken(played(AT_1, *claims([PROBES[0] + 2.5])))
    assert "1 probes of high priority" in broken(played(AT_1, *claims([CLOSED - 3], priority="high")))


def test_a_breaker_that_waits_for_time_outs_does_not_count_slow_calls() -> None:
    late = [Change(FAULT + 10.2, "open", "time-out"), Change(CLOSED, "closed", "")]
    assert "must count as failed" in broken(replace(played(AT_20), changes=late))


def test_a_breaker_that_opens_without_a_fault_is_found() -> None:
    flap = [Change(FAULT - 5, "open", "slow"), Change(FAULT - 4.9, "closed", "operator")]
    assert broken(replace(played(AT_20), changes=[*flap, *played(AT_20).changes])).endswith("5.0 s before the fault")


def test_traffic_that_stays_away_is_found() -> None:
    well = played(AT_20)
    away = [claim for claim in well.claims if claim.provider == OTHER or claim.at < CLOSED]
    assert broken(replace(well, claims=away, calls=[0.0])) == "its traffic was not back within 60 s of healing"


def test_losses_calls_without_a_claim_and_a_measurement_of_nothing_are_found() -> None:
    assert broken(replace(played(AT_1), verdict=verdict(lost=2))) == "2 messages were never taken by a vendor"
    assert broken(replace(played(AT_1), verdict=verdict(left=3))) == "3 messages have not ended well"
    assert "were claimed" in broken(replace(played(AT_1), calls=[0.0] * 1000))
    assert "nothing was measured" in broken(replace(played(AT_1), calls=[]))


def test_what_the_checker_of_ledgers_finds_is_broken_too() -> None:
    report = Report()
    report.note("batch.7", [(Invariant.ONCE, "taken twice")])
    assert "(first batch.7: taken twice)" in broken(replace(played(AT_1), verdict=verdict(report=report)))


def test_a_claim_granted_just_before_the_opening_is_a_try() -> None:
    tries, probes = shares.split(claims([OPENED + 1.3, OPENED + 5]), [Change(OPENED, "open", "")])
    assert [claim.at for claim in tries] == [OPENED + 1.3]
    assert [claim.at for claim in probes] == [OPENED + 5]


def test_a_breaker_closed_in_one_process_alone_does_not_make_probes_traffic() -> None:
    changes = [Change(OPENED, "open", ""), Change(OPENED + 3, "closed", "", local=True)]
    assert len(shares.split(claims([OPENED + 5, OPENED + 6]), changes)[1]) == 2


def test_a_share_is_the_largest_of_any_window() -> None:
    mixed = [*claims([11.9, 12.1]), *claims([10.5, 11, 13.5, 14, 15], OTHER)]
    assert shares.worst_share(sorted(mixed, key=lambda c: c.at), 10, 20) == pytest.approx(2 / 3)
    assert shares.worst_share(claims([9.9, 20.1]), 10, 20) == 0


def test_one_probe_is_no_share_however_little_the_machine_sends() -> None:
    slow = sorted([*claims([12.0]), *claims([11, 13], OTHER)], key=lambda claim: claim.at)
    assert shares.worst_share(slow, 10, 20) == pytest.approx(1 / 2)
    assert shares.worst_share(slow, 10, 20, least=2) == 0


async def test_a_closed_forwarder_refuses_breaks_what_there_is_and_opens_again() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            writer.write(b"yes\n")
        writer.close()

    forwarder = Forwarder()
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as vendor:
        await forwarder.open(vendor.sockets[0].getsockname()[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", forwarder.port)
        writer.write(b"POST /2010-04-01/Messages.json HTTP/1.1\r\n")
        assert await reader.readline() == b"yes\n"
        assert len(forwarder.calls) == 1
        await forwarder.close()
        assert await reader.readline() == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", forwarder.port)
        await forwarder.open()
        reader, writer = await asyncio.open_connection("127.0.0.1", forwarder.port)
        writer.write(b"\n")
        assert await reader.readline() == b"yes\n"
        writer.close()
        await writer.wait_closed()
        await forwarder.close()

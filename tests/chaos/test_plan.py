"""The plan of a fault run: the same for the same seed, every kind in its turn, lanes that never trip themselves up."""

from collections import Counter
from itertools import pairwise

import pytest

from bench.chaos import vendors
from bench.chaos.content import request
from bench.chaos.crowd import Accepted
from bench.chaos.plan import KINDS, TRAFFIC, Fault, Lane, plan
from bench.chaos.recovery import Sent, recoveries, usual_way
from bench.chaos.striking import Strike

NAMES = {kind.name for kind in KINDS}


@pytest.mark.parametrize("seed", range(20))
def test_ten_minutes_have_every_kind_and_at_least_forty_faults(seed: int) -> None:
    faults = plan(600, seed)
    assert len(faults) >= 40
    assert {fault.kind for fault in faults} == NAMES
    targets = {(fault.kind, fault.target) for fault in faults}
    assert {("kill-api", "api"), ("kill-api", "api-2")} <= targets


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("seconds", [20, 60, 120, 600])
def test_faults_of_a_lane_never_overlap_and_end_with_the_load(seconds: int, seed: int) -> None:
    for lane in Lane:
        mine = [fault for fault in plan(seconds, seed) if fault.lane is lane]
        assert mine
        assert mine[0].at >= TRAFFIC
        assert mine[-1].at + mine[-1].lasts < seconds
        assert all(one.at + one.lasts < next_one.at for one, next_one in pairwise(mine))
        most, *_, least = [n for _, n in Counter(fault.kind for fault in mine).most_common()] * 2
        assert most - least <= 1, "a kind came again before all had come"


def test_a_seed_is_a_plan() -> None:
    assert plan(120, 7) == plan(120, 7) != plan(120, 8)


def test_only_what_is_asked_for_strikes() -> None:
    assert {fault.kind for fault in plan(120, 1, ("kill-api", "vendor-slow"))} == {"kill-api", "vendor-slow"}


def test_every_vendor_fault_has_its_rule() -> None:
    assert set(vendors.RULES) == {kind.name for kind in KINDS if kind.lane is Lane.VENDORS}


def test_a_number_is_a_request() -> None:
    first, again = request(7, 1, 1e9), request(7, 1, 1e9)
    assert first == again != request(7, 2, 1e9)
    paths = Counter(request(n, 1, 1e9).path for n in range(1000))
    assert paths["/notify"] > paths["/notify/batch"] > 20
    assert any(request(n, 1, 1e9).cancel_after for n in range(100))


def test_recovery_counts_what_was_asked_accepted_and_sent_after_the_fault() -> None:
    killed = Strike(Fault("kill-api", Lane.PROCESSES, "api", 0, 0), began=100, ended=100)
    slow = Strike(Fault("vendor-slow", Lane.VENDORS, "twilio sns", 0, 5), began=105, ended=110)
    accepted = [Accepted(1, 99, 101), Accepted(2, 101, 103), Accepted(3, 111, 112)]
    sent = [Sent(1, "twilio", 101), Sent(2, "sendgrid", 102), Sent(3, "sendgrid", 112.5), Sent(3, "twilio", 113)]
    found = recoveries([killed, slow], accepted, sent)
    assert (found["kill-api"].worst, found["vendor-slow"].typical) == (3, 3)
    assert usual_way(accepted, sent) == 1.5
    assert recoveries([slow], accepted, sent[:3])["vendor-slow"].typical is None

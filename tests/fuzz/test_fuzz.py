"""A twentieth of `make fuzz`, and that its judge is no rubber stamp."""

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bench.fuzz.mutations import Bent, Mutator
from bench.fuzz.schemes import Callback, Scheme, SendGridEvents, SesTopic, TwilioCallback
from bench.fuzz.signing import SnsSigner
from bench.fuzz.webhooks import fault_of, says_the_same

ROOT = Path(__file__).parents[2]
SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSB0ZXN0"


@pytest.fixture(scope="module")
def schemes() -> Mapping[str, Scheme]:
    found = (
        Callback(SECRET, SECRET[:-4] + "eHh4"),
        SendGridEvents(),
        TwilioCallback("token"),
        SesTopic("https://sns.eu-west-1.amazonaws.com/x.pem", SnsSigner()),
    )
    return {scheme.name: scheme for scheme in found}


async def test_a_twentieth_of_the_fuzz_run_finds_nothing(
    database_url: str, redis_url: str, temporal_address: str, temporal_namespace: str, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "CLARION_DATABASE_URL": database_url,
        "CLARION_REDIS_URL": redis_url,
        "CLARION_TEMPORAL_ADDRESS": temporal_address,
        "CLARION_TEMPORAL_NAMESPACE": temporal_namespace,
    }
    command = ["-m", "bench.fuzz", "--seed", "20", "--phases", "fuzzing", "--examples", "3", "--webhooks", "5500"]
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, *command, "--out", str(tmp_path)),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await run.communicate())[0].decode()
    assert run.returncode == 0, said
    cases = re.search(r"(\d+) requests to routes, (\d+) bent webhook calls", said)
    assert cases and int(cases[1]) >= 250 and int(cases[2]) >= 5000, said


@pytest.mark.parametrize("name", ["callback", "sendgrid", "twilio", "ses"])
def test_the_judge_lets_no_bent_call_through(schemes: Mapping[str, Scheme], name: str) -> None:
    origin = schemes[name].genuine()
    other = schemes[name].genuine()
    forged = Bent("forged", name, name, replace(other, headers=origin.headers), origin)
    assert fault_of(forged, 401, schemes) is None
    for status in (200, 422):
        assert fault_of(forged, status, schemes) == f"believed ({status})"
    for status in (500, 503, 302):
        assert fault_of(forged, status, schemes) == f"answered {status}"
    assert fault_of(Bent("same", name, name, origin, origin), 200, schemes) is None
    assert fault_of(Bent("elsewhere", name, "other", origin, origin), 200, schemes) == "believed (200)"


def test_one_seed_makes_one_sequence_and_most_of_it_is_not_the_genuine_call(schemes: Mapping[str, Scheme]) -> None:
    known = {name: [scheme.genuine(timedelta(0)) for _ in range(5)] for name, scheme in schemes.items()}
    bent = [Mutator(schemes, known, 3) for _ in range(2)]
    pairs = [(bent[0].next(), bent[1].next()) for _ in range(2000)]
    assert [one.kind for one, _ in pairs] == [other.kind for _, other in pairs]
    assert sum(not says_the_same(one, schemes) for one, _ in pairs) > 1500
    assert len({one.kind for one, _ in pairs if "+" not in one.kind}) == 23

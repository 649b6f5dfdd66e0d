"""The peers of `make bench` do the whole job: what is accepted is sent once and receipted; strangers get 401."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from bench import peers
from bench.load import Target, body_of, run
from bench.peers.choices import CELERY_BEST, DBOS_BEST
from bench.peers.peer import Progress, held_against
from domain.ids import DeliveryId, SendKey, new_id

NUMBER = 50
BODY = {"channels": ["email"], "recipient_ids": ["ann"], "message": "hello", "priority": "high"}

Opening = Callable[[Path], AbstractAsyncContextManager[peers.Peer]]

CASES: dict[str, Opening] = {
    "celery": lambda log: peers.celery(log, peers.CelerySettings(pool="threads", publishers=2)),
    "dbos": lambda log: peers.dbos(log, peers.DbosSettings(steps=2)),
}


@pytest_asyncio.fixture(params=CASES, scope="module")
async def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[peers.Peer]:
    async with CASES[request.param](tmp_path_factory.mktemp("peer") / "parts.log") as peer:
        yield peer


async def test_all_that_is_accepted_is_sent_once_and_receipted(peer: peers.Peer, tmp_path: Path) -> None:
    before, accepted, chance = await peer.progress(), tmp_path / "accepted", Random(1)
    result = await run(
        Target(peer.api, peer.key),
        clients=8,
        count=NUMBER,
        make_body=lambda n: body_of(n, "peer", chance),
        accepted_ids=accepted,
    )
    assert (result.accepted, result.refused) == (NUMBER, {})
    while not (progress := await peer.progress()).finished:
        await asyncio.sleep(0.05)
    assert progress.receipted - before.receipted == NUMBER
    assert await peer.check(accepted) == (0, 0)


async def test_an_idempotency_key_is_accepted_once(peer: peers.Peer) -> None:
    before = await peer.progress()
    headers = {"Authorization": f"Bearer {peer.key}", "Idempotency-Key": "order-1"}
    ids: set[str] = set()
    async with ClientSession(peer.api, headers=headers) as client:
        for _ in range(2):
            async with client.post("/notify", json=BODY) as answer:
                assert answer.status == 202
                ids.add((await answer.json())["id"])
    assert len(ids) == 1
    assert (await peer.progress()).accepted == before.accepted + 1


@pytest.mark.parametrize("path", ["/notify", "/webhook/sendgrid"])
async def test_strangers_are_sent_away(peer: peers.Peer, path: str) -> None:
    async with (
        ClientSession(peer.api, headers={"Authorization": f"Bearer {peer.key}x"}) as client,
        client.post(path, json=BODY) as answer,
    ):
        assert answer.status == 401


async def test_every_process_is_known(peer: peers.Peer) -> None:
    assert {"postgres", "sandbox", "worker-1", "api"} <= peer.pids().keys()
    assert len(peer.pids()["postgres"]) > 1, "its backends count as its own"


def test_what_the_vendor_has_not_or_has_twice_is_found(tmp_path: Path) -> None:
    once, twice, never = new_id(), new_id(), new_id()
    accepted, log = tmp_path / "accepted", tmp_path / "log.jsonl"
    accepted.write_text("".join(f"{n} {each}\n" for n, each in enumerate((once, twice, never))))
    keys = [str(SendKey(DeliveryId(each, 0), 0)) for each in (once, twice, twice)]
    log.write_text("".join(json.dumps({"key": key, "at": n}) + "\n" for n, key in enumerate(keys)))
    assert held_against(log, accepted) == (1, 1)


def test_progress_is_finished_when_all_is_receipted() -> None:
    assert Progress(5, 5, 5).finished
    assert not Progress(5, 5, 4).finished


def test_the_best_settings_are_of_the_sweeps() -> None:
    assert CELERY_BEST in peers.CELERY_SWEEP
    assert DBOS_BEST in peers.DBOS_SWEEP

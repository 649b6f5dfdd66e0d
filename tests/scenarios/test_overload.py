"""A burst that is more than sending can follow: low priority is sent away and let in again, high goes through."""

import asyncio

from stage import SetStage

BURST, LIMIT = 120, 30


async def test_a_burst_beyond_the_limit_is_taken_bit_by_bit_and_all_of_it_arrives(set_stage: SetStage) -> None:
    stage = await set_stage(backlog_limit=LIMIT)
    await stage.vendors.rule("sendgrid", latency=0.3)
    refused = 0

    async def insist(n: int) -> str:
        """A caller who comes back until the door opens (sooner than it is told to: a test has no minute)."""
        nonlocal refused
        body = {"channels": ["email"], "recipient_ids": ["ada"], "message": f"{n}", "priority": "low"}
        while True:
            async with stage.http.post(f"{stage.url}/notify", json=body) as response:
                answer = await response.json()
                if response.status == 202:
                    return answer["id"]
                assert (response.status, answer["code"]) == (503, "overloaded")
                assert 1 <= int(response.headers["Retry-After"]) <= 30
            refused += 1
            await asyncio.sleep(0.3)

    crowd = asyncio.gather(*(insist(n) for n in range(BURST)))
    while not refused:
        await asyncio.sleep(0.01)
    high = await stage.notify(channels=["email"], recipient_ids=["ada"], message="code", priority="high")
    await stage.until(high, "COMPLETED")
    async with asyncio.timeout(200):  # a slow reading of the backlog costs ten times its time
        accepted = await crowd
    for n in accepted:
        await stage.until(n, "COMPLETED", within=60)
    assert len({line["text"] for line in await stage.vendors.log("sendgrid")}) == BURST + 1

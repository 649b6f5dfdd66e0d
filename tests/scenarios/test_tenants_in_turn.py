"""One tenant's flood does not stand before another's message: by the order in which a vendor gets them."""

import asyncio
import time
from contextlib import suppress
from typing import Any

from stage import SetStage, Stage
from temporalio.service import RPCError

from domain.runs import run_id
from ledger import keys, tenants
from ledger.audit import By
from ledger.keys import Role
from ledger.tenants import Tenant

ME = By("test")
CROWD = 16  # notifications of 50 recipients


async def key_of(stage: Stage, tenant: str) -> dict[str, str]:
    await tenants.create(stage.db, Tenant(tenant, tenant), ME)
    return {"Authorization": f"Bearer {(await keys.create(stage.db, tenant, Role.SEND, ME))[1]}"}


async def send(stage: Stage, key: dict[str, str], text: str, recipients: int) -> str:
    body: dict[str, Any] = {"channels": ["sms"], "message": text}
    body["recipient_ids"] = [f"{text}-{n}" for n in range(recipients)]
    status, answer = await stage.call("POST", "/notify", body, headers=key)
    assert status == 202, answer
    return answer["id"]


async def started(stage: Stage, notification: str) -> None:
    """Return when its run is there: it must not come to a flood that is half over."""
    (row,) = await stage.db.run(
        "SELECT DISTINCT batch_id::text AS batch FROM delivery WHERE notification_id = CAST(:n AS uuid)", n=notification
    )
    handle = stage.temporal.get_workflow_handle(run_id(row.batch))
    async with asyncio.timeout(60):
        while True:
            with suppress(RPCError):
                await handle.describe()
                return
            await asyncio.sleep(0.05)


CLAIMED = """
SELECT d.notification_id::text AS id FROM delivery d JOIN delivery_event e USING (batch_id, seq)
 WHERE e.step = 'claim' ORDER BY e.at, e.id
"""


async def test_a_message_overtakes_another_tenants_flood(set_stage: SetStage) -> None:
    stage = await set_stage(held=True)
    flood, small = await key_of(stage, "flood"), await key_of(stage, "small")
    crowd = [await send(stage, flood, f"crowd{n}", 50) for n in range(CROWD)]
    single = await send(stage, small, "single", 1)
    await started(stage, single)
    await stage.work()
    end = time.monotonic() + 120
    while len(claimed := [row.id for row in await stage.db.run(CLAIMED)]) < 50 * len(crowd) + 1:
        assert time.monotonic() < end
        await asyncio.sleep(0.2)
    assert claimed.index(single) < len(claimed) / 2

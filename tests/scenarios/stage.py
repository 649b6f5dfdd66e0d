"""Clarion on a stage: API and workers in the test's own process; servers, HTTP and vendors are real."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from temporalio.client import Client
from temporalio.service import RPCError
from vendor_side import Sandbox

from api.server import running_api
from ledger.database import Database
from runs import connect
from runs.prepare import prepare
from settings import Settings
from workers.embedded.ports import free_ports
from workers.queues import every_queue
from workers.worker import Workshop, worker_for, workshop

END_STATES = {"COMPLETED", "PARTIAL_FAILURE", "FAILED", "CANCELLED"}


@dataclass
class Stage:
    """What a test acts with."""

    url: str
    http: aiohttp.ClientSession
    db: Database
    temporal: Client
    vendors: Sandbox
    shop: Workshop
    work: Callable[[], Awaitable[None]]  # starts the workers of a stage that was set with `held`
    api: AsyncExitStack  # what ends it
    settings: Settings

    async def stop_api(self) -> None:
        """Nobody takes notifications or receipts any more."""
        await self.api.aclose()

    async def start_api(self) -> None:
        """It is back under the same address."""
        await self.api.enter_async_context(running_api(self.settings))

    async def notify(self, **body: Any) -> str:
        """POST /notify, which must be accepted. Returns the id."""
        status, answer = await self.call("POST", "/notify", body)
        assert status == 202, answer
        return answer["id"]

    async def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of one request."""
        async with self.http.request(method, self.url + path, json=body, headers=headers) as response:
            return response.status, json.loads(await response.text() or "null")

    async def status(self, notification: str) -> dict[str, Any]:
        """GET /status with each delivery's history."""
        code, answer = await self.call("GET", f"/status/{notification}?expand=events")
        assert code == 200, answer
        return answer

    async def until(
        self, notification: str, wanted: str | Callable[[dict[str, Any]], bool], within: float = 60
    ) -> dict[str, Any]:
        """The status as soon as it is what is wanted: an overall status, or a condition."""
        meets = wanted if callable(wanted) else lambda status: status["status"] == wanted
        end = time.monotonic() + within
        while True:
            status = await self.status(notification)
            if meets(status):
                return status
            assert time.monotonic() < end, f"not {wanted} within {within} s: {json.dumps(status, indent=1)}"
            await asyncio.sleep(0.05)

    async def run_of(self, notification: str) -> str:
        """The workflow id of its (first) batch."""
        return (await self.status(notification))["workflow_ids"][0]

    async def awaiting_is_right(self) -> None:
        """The one counter of the protocol, held against the rows."""
        wrong = await self.db.run(
            """SELECT c.batch_id, c.channel, c.awaiting FROM batch_channel c WHERE awaiting <> (
                 SELECT count(*) FROM delivery d WHERE d.batch_id = c.batch_id AND d.channel = c.channel
                    AND d.status IN ('sent', 'in_doubt'))"""
        )
        assert not wrong


SetStage = Callable[..., Awaitable[Stage]]  # the fixture `set_stage`: takes changes to the settings, and `held`


@asynccontextmanager
async def staged(settings: Settings, vendors: Sandbox, *, held: bool = False) -> AsyncIterator[Stage]:
    """API and workers of every queue, running inside the block; what is still open in Temporal ends with it.

    `held`: no worker runs before the test says so.
    """
    settings = settings.model_copy(update={"port": free_ports(1)[0]})
    async with AsyncExitStack() as stack:
        client = await connect(settings, lazy=False)
        await prepare(client)
        shop = await stack.enter_async_context(workshop(settings))
        stack.push_async_callback(_end_all, client)

        async def work() -> None:
            for queue in every_queue(shop.installed.channels):
                await stack.enter_async_context(worker_for(queue, shop))

        if not held:
            await work()
        api = await stack.enter_async_context(AsyncExitStack())
        url = await api.enter_async_context(running_api(settings))
        await vendors.calls_back(f"{url}/webhook")
        http = await stack.enter_async_context(aiohttp.ClientSession())
        db = Database(settings.required("database_url"), pool_size=5)
        stack.push_async_callback(db.close)
        yield Stage(url, http, db, client, vendors, shop, work, api, settings)


async def _end_all(client: Client) -> None:
    # The next test's schedules start at once when they are new: nobody waits for the minute to be full.
    async for schedule in await client.list_schedules():
        await client.get_schedule_handle(schedule.id).delete()
    async for found in client.list_workflows("ExecutionStatus = 'Running'"):
        with suppress(RPCError):  # it may just have ended by itself
            await client.get_workflow_handle(found.id).terminate("end of test")

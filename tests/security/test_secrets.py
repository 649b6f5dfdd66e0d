"""Nothing secret comes out: real processes, recognisable secrets, errors of many kinds, and a search through it all."""

import asyncio
import base64
import io
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from temporalio.client import Client
from vaults import KEYS
from vendor_side import Sandbox, running_sandbox

from ledger import keys, tenants
from ledger.audit import By
from ledger.database import Database
from ledger.keys import Role
from ledger.tenants import Tenant
from workers.embedded.ports import free_ports

ROOT = Path(__file__).parents[2]
BY = By("test")
ADDRESS, PHONE, TEXT = "leaky.person@leak.example", "+14155559876", "the launch code is 8841-LEAK"
SECRET_KEY, PASSWORD = "secret-key-LEAK-1", "database-password-LEAK-2"
SECRET_SETTINGS = re.compile(r"_(KEY|TOKEN|SECRET|PASSWORD|ACCESS_KEY)$")


def told(environment: Mapping[str, str]) -> list[str]:
    """The secrets among settings, and those of this test."""
    found = [
        value
        for name, value in environment.items()
        if SECRET_SETTINGS.search(name) and "WEBHOOK" not in name and len(value) > 8
    ]
    service_account = json.loads(environment["CLARION_FCM_CREDENTIALS"])["private_key"]
    key = environment["CLARION_ENCRYPTION_KEYS"].partition(":")[2]
    return [*found, key, service_account.splitlines()[2], PASSWORD, ADDRESS, PHONE, TEXT]


@asynccontextmanager
async def process(
    log: Path, environment: Mapping[str, str], *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`clarion …` beside the block, all its lines in `log`."""
    with log.open("ab") as out:
        run = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.main", *arguments), cwd=log.parent, env=environment, stdout=out, stderr=out
        )
    try:
        yield run
    finally:
        if run.returncode is None:
            run.send_signal(signal.SIGTERM)
        await asyncio.wait_for(run.wait(), 30)


async def until_ready(url: str) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(60):
        while True:
            try:
                async with http.get(f"{url}/livez"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


async def histories(temporal_address: str, namespace: str) -> str:
    """Every history of a namespace, its payloads in clear."""
    client = await Client.connect(temporal_address, namespace=namespace)
    whole = ""
    async for found in client.list_workflows():
        history = await client.get_workflow_handle(found.id, run_id=found.run_id).fetch_history()
        whole += history.to_json()
    payloads = re.findall(r'"data": ?"([A-Za-z0-9+/=]+)"', whole)
    return whole + "".join(base64.b64decode(each).decode(errors="replace") for each in payloads)


async def provoke(url: str, key: str, vendors: Sandbox) -> list[str]:
    """Good and bad requests; the texts of all answers that are errors."""
    person = {"id": "p", "email": ADDRESS, "phone": PHONE, "push_token": "push-token-of-a-person"}
    good = {"channels": ["email", "sms", "push"], "recipients": [person], "message": {"text": TEXT, "subject": TEXT}}
    answers: list[str] = []

    async def call(method: str, path: str, **more: Any) -> int:
        headers = {"Authorization": f"Bearer {key}", **more.pop("headers", {})}
        async with http.request(method, url + path, headers=headers, **more) as answer:
            if answer.status >= 400:
                answers.append(f"{answer.headers} {await answer.text()}")
            return answer.status

    async with aiohttp.ClientSession() as http:
        for status in (202, 400, 401, 429, 500, 503):
            for vendor in ("sendgrid", "twilio", "fcm", "ses"):
                await vendors.settings(vendor, rules=[{"answer": {"status": status}}] if status > 202 else [])
            assert await call("POST", "/notify", json=good) == 202
            await asyncio.sleep(0.3)
        text = json.dumps(good)
        for body in (text[:-3], text.replace('"channels"', '"chanels"'), text.replace("email", "e_mail"), f'"{TEXT}"'):
            assert await call("POST", "/notify", data=body, headers={"Content-Type": "application/json"}) == 422
        wrong = {**good, "recipients": [{**person, "email": f"{ADDRESS} {TEXT}", "phone": f"{PHONE}x"}]}
        assert await call("POST", "/notify", json=wrong) == 422
        assert await call("POST", "/notify", json=good, headers={"Authorization": f"Basic {key}"}) == 401
        assert await call("POST", "/notify", json=good, headers={"Authorization": f"Bearer {key}x"}) == 401
        assert await call("POST", "/notify", data=text, headers={"Content-Type": "text/plain"}) == 415
        assert await call("GET", "/status/none") == 404
        assert await call("PUT", "/recipients/p", json={"email": f"{TEXT}@", "phone": f"{PHONE}0000000000"}) == 422
        for vendor in ("callback", "sendgrid", "twilio", "ses", "nobody"):
            assert await call("POST", f"/webhook/{vendor}", data=f"{ADDRESS} {TEXT}") in (401, 404)
        large = io.BytesIO(json.dumps({**good, "message": TEXT * 40_000}).encode())
        assert await call("POST", "/notify", data=large, headers={"Content-Type": "application/json"}) == 413
    return answers


async def test_no_secret_is_in_logs_errors_histories_or_metrics(
    database_url: str, redis_url: str, temporal_address: str, temporal_namespace: str, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    url, log = f"http://127.0.0.1:{port}", tmp_path / "said.log"
    db = Database(database_url, pool_size=1)
    await tenants.create(db, Tenant("acme", "Acme"), BY)
    key = (await keys.create(db, "acme", Role.ADMIN, BY))[1]
    operator = (await keys.create(db, None, Role.OPERATOR, BY))[1]
    await db.close()
    with running_sandbox(tmp_path / "sandbox") as vendors:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CLARION_")} | {
            "PYTHONPATH": str(ROOT),
            "CLARION_DATABASE_URL": database_url,
            "CLARION_REDIS_URL": redis_url,
            "CLARION_TEMPORAL_ADDRESS": temporal_address,
            "CLARION_TEMPORAL_NAMESPACE": temporal_namespace,
            "CLARION_SECRET_KEY": SECRET_KEY,
            "CLARION_ENCRYPTION_KEYS": KEYS,
            "CLARION_PORT": str(port),
            "CLARION_LOG_LEVEL": "debug",
            **vendors.environment(),
        }
        async with process(log, environment, "migrate") as migrating:
            await migrating.wait()
        await vendors.calls_back(f"{url}/webhook")
        async with process(log, environment, "api"), process(log, environment, "worker"):
            await until_ready(url)
            errors = await provoke(url, key, vendors)
            await asyncio.sleep(2)
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {operator}"}) as http:
                metrics = await (await http.get(f"{url}/metrics", headers={"Accept": "text/plain"})).text()
        # Servers that are not there, or do not let us in, with a password in their URLs.
        away = {
            **environment,
            "CLARION_DATABASE_URL": f"postgresql://someone:{PASSWORD}@127.0.0.1:1/nothing",
            "CLARION_REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:1/0",
        }
        for command in (("doctor",), ("migrate",)):
            async with process(log, away, *command) as failing:
                await failing.wait()
        secrets = [*told(environment), key.rpartition("_")[2], operator.rpartition("_")[2]]
    said = log.read_text()
    assert "webhook.forged" in said and len(errors) >= 15 and "clarion_accepted" in metrics
    kept = await histories(temporal_address, temporal_namespace)
    assert "Workflow" in kept
    places = {"logs": said, "error answers": "\n".join(errors), "histories": kept, "metrics": metrics}
    leaks = [(place, secret[:12]) for place, text in places.items() for secret in secrets if secret in text]
    assert leaks == []
    assert len(secrets) >= 15

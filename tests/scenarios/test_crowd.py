"""The door under a crowd: poison, idempotency keys, batches and the naive shape."""

import asyncio

from stage import SetStage, Stage


async def test_poison_and_one_key_among_two_hundred(stage: Stage) -> None:
    async def post(n: int) -> tuple[int, dict[str, str]]:
        text = f"poison \x00 {n}" if n in (3, 77, 150) else "the same" if n >= 180 else f"message {n}"
        body = {"channels": ["email"], "recipient_ids": ["ada"], "message": text}
        headers = {"Idempotency-Key": "order-1"} if n >= 180 else None
        return await stage.call("POST", "/notify", body, headers)

    answers = await asyncio.gather(*(post(n) for n in range(200)))
    refused = [n for n, (status, _) in enumerate(answers) if status != 202]
    assert refused == [3, 77, 150]
    assert {answers[n][0] for n in refused} == {422}
    assert len({answer["id"] for _, answer in answers[180:]}) == 1
    ids = {answer["id"] for status, answer in answers if status == 202}
    assert len(ids) == 178
    for n in ids:
        await stage.until(n, "COMPLETED")
    runs = await stage.db.run("SELECT count(*) FROM batch")
    assert runs[0][0] < 50, "what arrives together shares a run"


async def test_an_idempotency_key_is_replayed_and_guards_its_body(stage: Stage) -> None:
    body = {"channels": ["email"], "recipient_ids": ["ada"], "message": "Hello"}
    key = {"Idempotency-Key": "order-2"}
    first = await stage.call("POST", "/notify", body, key)
    async with stage.http.post(f"{stage.url}/notify", json=body, headers=key) as again:
        assert again.status == 202
        assert again.headers["Idempotency-Replayed"] == "true"
        assert (await again.json()) == first[1]
    code, problem = await stage.call("POST", "/notify", {**body, "message": "Other"}, key)
    assert code == 422
    assert problem["code"] == "idempotency_key_reused"


async def test_numbers_json_cannot_carry_are_refused(stage: Stage) -> None:
    body = '{"channels": ["email"], "recipient_ids": ["ada"], "message": "Hello", "metadata": {"n": [VALUE]}}'
    for more in ({}, {"Idempotency-Key": "k"}):
        headers = {"content-type": "application/json", **more}
        for value in ("NaN", "-Infinity", "123456789012345678901234567890"):
            data = body.replace("VALUE", value)
            async with stage.http.post(f"{stage.url}/notify", data=data, headers=headers) as response:
                assert response.status == 422, (value, more, await response.text())


async def test_max_batch_one_gives_every_notification_a_run_of_its_own(set_stage: SetStage) -> None:
    stage = await set_stage(max_batch=1)
    body = {"channels": ["email", "sms"], "recipient_ids": ["ada"], "message": "Hello"}
    sent = await asyncio.gather(*(stage.notify(**body) for _ in range(20)))
    runs = {(await stage.until(n, "COMPLETED"))["workflow_ids"][0] for n in sent}
    assert len(runs) == 20


async def test_a_batch_request_answers_for_each_item(stage: Stage) -> None:
    good = {"channels": ["email"], "recipient_ids": ["ada"], "message": "Hello", "idempotency_key": "item-1"}
    code, answer = await stage.call("POST", "/notify/batch", [good, {**good, "channels": ["fax"]}, good])
    assert code == 207
    first, second, third = answer["results"]
    assert (first["status"], second["status"], third["status"]) == (202, 422, 202)
    assert first["id"] == third["id"]
    await stage.until(first["id"], "COMPLETED")


async def test_a_large_notification_fills_several_batches_and_bulk_calls(stage: Stage) -> None:
    recipients = [{"email": f"user{n}@example.com", "phone": f"+1415556{n:04d}"} for n in range(600)]
    n = await stage.notify(channels=["email", "sms"], recipients=recipients, message="Hello all")
    status = await stage.until(n, "COMPLETED", within=60)
    assert len(status["workflow_ids"]) == 3
    assert status["counts"] == {"DELIVERED": 1200}
    assert len(status["deliveries"]) == 100
    assert len(await stage.vendors.log("twilio")) > 0

"""Status, lists, cancel and reschedule over HTTP, in the shape the contract promises."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from api_side import client_of, door_of
from httpx2 import AsyncClient
from seeding import accept, batch_of, sent, submission
from temporalio.client import Client

from api.parts import Parts
from domain.channels import EMAIL
from ledger import tenants
from ledger.audit import By
from ledger.database import Database
from ledger.keys import Role
from runs.prepare import prepare


async def test_status_in_the_shape_of_the_contract(db: Database, admin: AsyncClient) -> None:
    one = submission(channels=("email", "sms"))
    batch = batch_of(await accept(db, one))
    await sent(db, batch, EMAIL)
    answer = await admin.get(f"/status/{one.id}")
    assert answer.status_code == 200
    found = answer.json()
    assert found["notification_id"] == str(one.id)
    assert found["status"] == "PROCESSING"
    assert found["channel_statuses"] == {"email": "SENT", "sms": "QUEUED"}
    assert found["workflow_ids"] == [f"batch/{batch}"]
    assert found["counts"] == {"SENT": 1, "QUEUED": 1}
    assert found["metadata"] == {"order": 7}
    assert datetime.fromisoformat(found["created_at"]) <= datetime.fromisoformat(found["updated_at"])
    assert found["page"] == {"next": None, "has_more": False}
    delivery = found["deliveries"][0]
    del delivery["updated_at"]
    assert delivery == {
        "id": f"{batch}.0",
        "recipient_id": "ann",
        "channel": "email",
        "status": "SENT",
        "provider": "sendgrid",
        "attempts": 1,
        "possible_duplicate": False,
        "reason": None,
    }


async def test_events_come_when_asked_for(db: Database, admin: AsyncClient) -> None:
    one = submission()
    await sent(db, batch_of(await accept(db, one)), EMAIL)
    (delivery,) = (await admin.get(f"/status/{one.id}?expand=events")).json()["deliveries"]
    assert [(event["step"], event["from"], event["to"]) for event in delivery["events"]] == [
        ("accept", None, "QUEUED"),
        ("claim", "QUEUED", "SENDING"),
        ("record", "SENDING", "SENT"),
    ]


async def test_status_pages_by_cursor(db: Database, admin: AsyncClient) -> None:
    one = submission(recipients=[f"r{n}" for n in range(250)])
    await accept(db, one)
    seen, url = [], f"/status/{one.id}"
    while True:
        page = (await admin.get(url)).json()
        seen += [delivery["recipient_id"] for delivery in page["deliveries"]]
        if not page["page"]["has_more"]:
            break
        url = f"/status/{one.id}?cursor={page['page']['next']}"
    assert seen == [f"r{n}" for n in range(250)]


async def test_another_tenants_and_an_unknown_id_get_the_same_answer(db: Database, admin: AsyncClient) -> None:
    theirs = submission(tenant="other")
    await accept(db, theirs)
    answers = [
        await admin.get(f"/status/{id}") for id in (theirs.id, uuid4(), "x", "%00", "é" * 36, "{" + "a" * 34 + "}")
    ]
    details = {(a.status_code, a.json()["code"], a.json()["detail"]) for a in answers}
    assert details == {(404, "not_found", "There is no such notification.")}


async def test_a_list_goes_on_by_its_cursor(db: Database, admin: AsyncClient) -> None:
    each = [submission(recipients=("ann",)) for _ in range(3)]
    for one in each:
        await accept(db, one)
    await accept(db, submission(tenant="other"))
    first = (await admin.get("/notifications?limit=2")).json()
    assert first["page"]["has_more"]
    second = (await admin.get(f"/notifications?limit=2&cursor={first['page']['next']}")).json()
    assert second["page"] == {"next": None, "has_more": False}
    found = [item["notification_id"] for item in first["data"] + second["data"]]
    assert found == [str(one.id) for one in reversed(each)]
    assert set(first["data"][0]) >= {"status", "channel_statuses", "priority", "created_at", "send_at", "counts"}


async def test_list_filters_by_query(db: Database, admin: AsyncClient) -> None:
    one = submission(channels=("sms",))
    await accept(db, submission(), one)
    now = datetime.now(UTC)
    for query in ("channel=sms", "channel=sms&status=ENQUEUED&priority=normal&recipient=ann"):
        assert [i["notification_id"] for i in (await admin.get(f"/notifications?{query}")).json()["data"]] == [
            str(one.id)
        ]
    past, future = (now - timedelta(minutes=5)).isoformat(), (now + timedelta(minutes=5)).isoformat()
    assert len((await admin.get("/notifications", params={"from": past, "to": future})).json()["data"]) == 2
    assert len((await admin.get(f"/notifications?from={past}")).json()["data"]) == 2
    assert (await admin.get("/notifications", params={"to": past})).json()["data"] == []


async def test_a_list_by_tags_words_and_metadata(db: Database, parts: Parts, admin: AsyncClient) -> None:
    door = await door_of(parts)
    async with client_of(parts, app=door) as client:
        client.headers["Authorization"] = admin.headers["Authorization"]
        await tenants.update(db, "acme", {"keep_text": True}, By("test"))
        await parts.terms.read()
        body = {"channels": ["email"], "recipient_ids": ["ann@example.com"]}
        one = {**body, "message": {"subject": "Invoice 4711", "text": "Dear Ann"}, "tags": ["campaign:may", "b", "b"]}
        other = {**body, "message": "Dear Bob", "metadata": {"order": "A-17"}, "tags": ["campaign:june"]}
        first = (await client.post("/notify", json=one)).json()["id"]
        second = (await client.post("/notify/batch", json=[other])).json()["results"][0]["id"]
        assert (await client.get(f"/status/{first}")).json()["tags"] == ["campaign:may", "b"]
        for query, found in (
            ("tag=campaign:may&tag=b", [first]),
            ("tag=campaign:may&tag=c", []),
            ("tag_prefix=campaign:", [second, first]),
            ("metadata=order:A-1", [second]),
            ("metadata=order:A-1&tag=b", []),
            ("q=dear", [second, first]),
            ("q=47*+INVOICE&channel=email&priority=normal", [first]),
        ):
            listed = (await client.get(f"/notifications?{query}")).json()["data"]
            assert [each["notification_id"] for each in listed] == found, query
    await parts.lanes.close()


@pytest.mark.parametrize("tags", [["Spring"], [""], ["x" * 51], ["a b"], [7], "spring", [f"t{n}" for n in range(11)]])
async def test_a_wrong_tag_is_refused(parts: Parts, admin: AsyncClient, tags: object) -> None:
    body = {"channels": ["email"], "recipient_ids": ["ann@example.com"], "message": "Hello", "tags": tags}
    async with client_of(parts, app=await door_of(parts)) as client:
        answer = await client.post("/notify", json=body, headers={"Authorization": admin.headers["Authorization"]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("/tags")
    await parts.lanes.close()


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/query/limit"),
        ("chanel=sms", "/query/chanel"),
        ("limit=101", "/query/limit"),
        ("cursor=x", "/query/cursor"),
        ("cursor=%C3%A9", "/query/cursor"),
        ("status=QUEUED", "/query/status"),
        ("priority=urgent", "/query/priority"),
        ("recipient=a%00b", "/query/recipient"),
        ("from=yesterday", "/query/from"),
        ("from=1700000000", "/query/from"),
        ("from=2026-01-01T00:00:00", "/query/from"),
        ("to=9999-12-31T23:59:59-23:59", "/query/to"),
        ("tag=Spring", "/query/tag/0"),
        ("tag_prefix=%00", "/query/tag_prefix"),
        ("metadata=order", "/query/metadata/0"),
        ("q=...", "/query/q"),
        ("q=invoice", "/query/q"),
        ("metadata=order:A", "/query/metadata"),
        ("to=0001-01-01T00:00:00%2B23:59", "/query/to"),
    ],
)
async def test_a_wrong_query_is_named(admin: AsyncClient, query: str, pointer: str) -> None:
    answer = await admin.get(f"/notifications?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid_request"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_cancel_says_what_was_cancelled_and_what_was_too_late(db: Database, admin: AsyncClient) -> None:
    one = submission(channels=("email", "sms"))
    batch = batch_of(await accept(db, one))
    await sent(db, batch, EMAIL)
    answer = await admin.post(f"/notifications/{one.id}/cancel")
    assert (answer.status_code, answer.json()) == (
        200,
        {"cancelled": [f"{batch}.1"], "too_late": [{"id": f"{batch}.0", "status": "SENT"}]},
    )
    assert (await admin.post(f"/notifications/{uuid4()}/cancel")).status_code == 404


async def test_cancel_wakes_the_run_even_one_that_never_started(
    db: Database, admin: AsyncClient, temporal_address: str, temporal_namespace: str
) -> None:
    one = submission()
    batch = batch_of(await accept(db, one))
    client = await Client.connect(temporal_address, namespace=temporal_namespace)
    await prepare(client)
    await admin.post(f"/notifications/{one.id}/cancel")
    events = [event async for event in client.get_workflow_handle(f"batch/{batch}").fetch_history_events()]
    signals = [e.workflow_execution_signaled_event_attributes.signal_name for e in events]
    assert "wake" in signals


async def test_another_time_is_taken_until_somebody_claims(db: Database, admin: AsyncClient) -> None:
    one = submission()
    batch = batch_of(await accept(db, one))
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    answer = await admin.patch(f"/notifications/{one.id}", json={"send_at": later})
    assert (answer.status_code, answer.json()["rescheduled"], answer.json()["too_late"]) == (200, 1, 0)
    assert (await admin.get(f"/status/{one.id}")).json()["status"] == "SCHEDULED"
    await admin.patch(f"/notifications/{one.id}", json={"send_at": datetime.now(UTC).isoformat()})
    await sent(db, batch, EMAIL)
    answer = await admin.patch(f"/notifications/{one.id}", json={"send_at": later})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_late")


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"send_at": 1}',
        '{"send_at": "2026-01-01"}',
        '{"send_at":null}',
        "[]",
        "{",
        '{"send_at":"2999-01-01T00:00:00Z"}',
        '{"send_at":"2026-01-01T00:00:00Z","x":1}',
        '{"send_at":"\\ud800"}',
    ],
)
async def test_a_wrong_time_is_refused(db: Database, admin: AsyncClient, body: str) -> None:
    one = submission()
    await accept(db, one)
    answer = await admin.patch(f"/notifications/{one.id}", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_tenant_cannot_touch_anothers(db: Database, parts: Parts, key_of: Callable[..., object]) -> None:
    one = submission()
    await accept(db, one)
    async with client_of(parts, key=await key_of(Role.ADMIN, "other")) as stranger:
        later = {"send_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
        assert (await stranger.post(f"/notifications/{one.id}/cancel")).status_code == 404
        assert (await stranger.patch(f"/notifications/{one.id}", json=later)).status_code == 404
        assert (await stranger.get("/notifications")).json()["data"] == []

"""Dead letters over HTTP: seen, retried, discarded, in one or in bulk."""

from collections.abc import Callable

from api_side import client_of
from httpx2 import AsyncClient
from seeding import CHANNELS, accept, batch_of, dead, statuses, submission

from api.parts import Parts
from ledger.database import Database
from ledger.keys import Role


async def buried(db: Database, channel: str = "push", tenant: str = "acme") -> str:
    batch = batch_of(await accept(db, submission(channels=(channel,), tenant=tenant)))
    await dead(db, batch, CHANNELS[channel])
    return f"{batch}.0"


async def test_a_list_by_filter_and_cursor(db: Database, admin: AsyncClient) -> None:
    first, second = await buried(db), await buried(db)
    await buried(db, tenant="other")
    of_fcm = "limit=1&channel=push&provider=fcm&reason=refused"
    page = (await admin.get(f"/dead-letters?{of_fcm}")).json()
    assert [letter["delivery_id"] for letter in page["data"]] == [second]
    page = (await admin.get(f"/dead-letters?{of_fcm}&cursor={page['page']['next']}")).json()
    assert [letter["delivery_id"] for letter in page["data"]] == [first]
    assert page["page"] == {"next": None, "has_more": False}
    assert (await admin.get("/dead-letters?channel=sms")).json()["data"] == []
    assert (await admin.get("/dead-letters?cursor=x")).status_code == 422


async def test_one_is_retried_once(db: Database, admin: AsyncClient) -> None:
    letter = await buried(db)
    answer = await admin.post(f"/dead-letters/{letter}/retry")
    assert (answer.status_code, answer.json()) == (200, {"delivery_id": letter, "status": "QUEUED"})
    assert (await admin.post(f"/dead-letters/{letter}/retry")).status_code == 404
    assert (await admin.get("/dead-letters")).json()["data"] == []


async def test_a_provider_must_be_of_the_route(db: Database, admin: AsyncClient) -> None:
    letter = await buried(db, "sms")
    answer = await admin.post(f"/dead-letters/{letter}/retry", json={"provider": "ses"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/provider")
    assert (await admin.post(f"/dead-letters/{letter}/retry", json={"provider": "sns"})).status_code == 200
    (row,) = await db.run("SELECT provider FROM delivery")
    assert row.provider == "sns"


async def test_one_is_discarded(db: Database, admin: AsyncClient) -> None:
    letter = await buried(db)
    answer = await admin.post(f"/dead-letters/{letter}/discard")
    assert (answer.status_code, answer.json()) == (200, {"delivery_id": letter, "status": "FAILED"})
    assert (await admin.post(f"/dead-letters/{letter}/discard")).status_code == 404


async def test_many_are_counted_then_retried(db: Database, admin: AsyncClient) -> None:
    for _ in range(3):
        await buried(db)
    kept = await buried(db, "sms")
    order = {"filter": {"channel": "push"}, "dry_run": True}
    answer = await admin.post("/dead-letters/retry", json=order)
    assert answer.json() == {"matched": 3, "retried": 0, "remaining": 3, "dry_run": True}
    answer = await admin.post("/dead-letters/retry", json=order | {"dry_run": False})
    assert answer.json() == {"matched": 3, "retried": 3, "remaining": 0, "dry_run": False}
    assert [letter["delivery_id"] for letter in (await admin.get("/dead-letters")).json()["data"]] == [kept]


async def test_many_are_counted_then_discarded(db: Database, admin: AsyncClient) -> None:
    for _ in range(2):
        await buried(db)
    kept = await buried(db, "sms")
    order = {"filter": {"channel": "push"}, "dry_run": True}
    answer = await admin.post("/dead-letters/discard", json=order)
    assert answer.json() == {"matched": 2, "discarded": 0, "remaining": 2, "dry_run": True}
    answer = await admin.post("/dead-letters/discard", json=order | {"dry_run": False})
    assert answer.json() == {"matched": 2, "discarded": 2, "remaining": 0, "dry_run": False}
    assert [letter["delivery_id"] for letter in (await admin.get("/dead-letters")).json()["data"]] == [kept]


async def test_all_are_discarded_only_by_a_filter_that_says_so(db: Database, admin: AsyncClient) -> None:
    await buried(db)
    assert (await admin.post("/dead-letters/discard", json={})).status_code == 422
    assert (await admin.post("/dead-letters/discard", json={"filter": {}})).json()["discarded"] == 1


async def test_a_stranger_finds_nothing(db: Database, parts: Parts, key_of: Callable[..., object]) -> None:
    letter = await buried(db)
    async with client_of(parts, key=await key_of(Role.ADMIN, "other")) as stranger:
        assert (await stranger.get("/dead-letters")).json()["data"] == []
        for action in ("retry", "discard"):
            assert (await stranger.post(f"/dead-letters/{letter}/{action}")).status_code == 404
        for action in ("retry", "discard"):
            assert (await stranger.post(f"/dead-letters/{action}", json={"filter": {}})).json()["matched"] == 0
    (row,) = await db.run("SELECT status FROM delivery")
    assert row.status == "dead"


async def test_an_operator_sees_and_moves_all(db: Database, parts: Parts, key_of: Callable[..., object]) -> None:
    letters = [await buried(db), await buried(db, tenant="other")]
    async with client_of(parts, key=await key_of(Role.OPERATOR, None)) as operator:
        assert {each["tenant"] for each in (await operator.get("/dead-letters")).json()["data"]} == {"acme", "other"}
        assert (await operator.post(f"/dead-letters/{letters[0]}/discard")).status_code == 200
        assert (await operator.post("/dead-letters/retry", json={})).json()["retried"] == 1


async def test_ids_that_are_none_name_nothing(admin: AsyncClient) -> None:
    for id in ("x", "1.2", "0" * 36 + ".0", "00000000-0000-0000-0000-000000000000.9999999999"):
        for action in ("retry", "discard"):
            answer = await admin.post(f"/dead-letters/{id}/{action}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), id


async def test_what_lives_is_no_dead_letter(db: Database, admin: AsyncClient) -> None:
    batch = batch_of(await accept(db, submission()))
    assert (await admin.post(f"/dead-letters/{batch}.0/retry")).status_code == 404
    assert list((await statuses(db, batch)).values()) == ["queued"]

"""The address book over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest
from api_side import client_of
from httpx2 import AsyncClient

from api.parts import Parts
from ledger.keys import Role


async def test_put_get_change_delete(admin: AsyncClient) -> None:
    body = {
        "email": "ann@EXAMPLE.com",
        "phone": "+1 415 555 0100",
        "push_token": "x" * 4096,
        "locale": "pt-BR",
        "timezone": "Europe/Berlin",
    }
    made = await admin.put("/recipients/ann", json=body)
    assert made.status_code == 201
    found = (await admin.get("/recipients/ann")).json()
    assert found == made.json()
    assert found["email"] == "ann@example.com" and found["phone"] == "+14155550100" and found["id"] == "ann"
    changed = await admin.put("/recipients/ann", json={"phone": "+14155550101"})
    assert changed.status_code == 200
    assert set(changed.json()) == {"id", "phone", "locale", "timezone", "updated_at"}
    assert (await admin.delete("/recipients/ann")).status_code == 204
    assert (await admin.get("/recipients/ann")).status_code == 404
    assert (await admin.delete("/recipients/ann")).status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"email": "nobody"}, "/email"),
        ({"phone": "0"}, "/phone"),
        ({"fax": "1"}, "/fax"),
        ({"fax/~": "1"}, "/fax~1~0"),
        ({"fax": {"x": 1}}, "/fax"),
        ({"locale": "de_DE"}, "/locale"),
        ({"timezone": "Mars"}, "/timezone"),
        ({"push_token": "a\x00b"}, "/push_token"),
        ({"email": 1}, "/email"),
    ],
)
async def test_a_wrong_field_is_named(admin: AsyncClient, body: dict[str, Any], pointer: str) -> None:
    answer = await admin.put("/recipients/ann", json=body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await admin.get("/recipients/ann")).status_code == 404


@pytest.mark.parametrize("id", ["a%00b", "x" * 256])
async def test_an_id_that_cannot_be_stored_is_refused(admin: AsyncClient, id: str) -> None:
    assert (await admin.put(f"/recipients/{id}", json={})).status_code == 422
    assert (await admin.get(f"/recipients/{id}")).status_code == 422


async def test_books_are_kept_apart(admin: AsyncClient, parts: Parts, key_of: Callable[..., object]) -> None:
    await admin.put("/recipients/ann", json={"email": "ann@example.com"})
    async with client_of(parts, key=await key_of(Role.ADMIN, "other")) as stranger:
        assert (await stranger.get("/recipients/ann")).status_code == 404
        assert (await stranger.delete("/recipients/ann")).status_code == 404
        assert (await stranger.put("/recipients/ann", json={})).status_code == 201
    assert (await admin.get("/recipients/ann")).json()["email"] == "ann@example.com"

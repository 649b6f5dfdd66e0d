"""Headers that keep browsers from doing anything with our answers."""

import base64
import re
from hashlib import sha256

import pytest
from api_side import client_of

from api.parts import Parts
from api.server import open_door
from settings import Settings

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/notify", 401),
        ("POST", "/webhook/callback", 401),
        ("POST", "/webhook/nobody", 404),
        ("GET", "/status/x", 401),
        ("GET", "/status/x/y", 404),
        ("HEAD", "/status/x", 405),
        ("GET", "/livez", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/notifications", 401),
        ("PUT", "/livez", 405),
    ],
)
async def test_every_answer_has_them_once(settings: Settings, method: str, path: str, status: int) -> None:
    async with open_door(settings) as (door, parts), client_of(parts, app=door) as client:
        answer = await client.request(method, path, json={})
    assert answer.status_code == status
    assert {name: answer.headers.get_list(name) for name in ALWAYS} == {name: [value] for name, value in ALWAYS.items()}
    assert "Strict-Transport-Security" not in answer.headers


async def test_https_is_to_stay_https(settings: Settings) -> None:
    secure = settings.model_copy(update={"public_url": "https://notify.example.com"})
    async with open_door(secure) as (door, parts), client_of(parts, app=door) as client:
        for answer in (await client.get("/livez"), await client.post("/notify", json={})):
            assert answer.headers["Strict-Transport-Security"] == "max-age=63072000"


async def test_the_docs_may_load_their_own_page_and_nothing_else(parts: Parts) -> None:
    async with client_of(parts) as client:
        answer = await client.get("/docs")
    policy = answer.headers["Content-Security-Policy"]
    (script,) = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    assert f"'sha256-{base64.b64encode(sha256(script.encode()).digest()).decode()}'" in policy
    assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy
    loaded = re.findall(r'(?:src|href)="(https://[^/"]+)', answer.text)
    assert loaded and all(host in policy for host in loaded)
    assert "'unsafe-inline'" not in policy.partition("style-src")[0]

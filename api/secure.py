"""Headers that tell browsers to do nothing with our answers, encoded once: every answer carries them."""

import base64
import re
from hashlib import sha256

from fastapi.openapi.docs import get_swagger_ui_html

from settings import Settings

Headers = tuple[tuple[bytes, bytes], ...]

DOCS = "/docs"

_CSP = b"content-security-policy"
_ALWAYS: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
_NOTHING: Headers = ((_CSP, b"default-src 'none'; frame-ancestors 'none'"),)
_TWO_YEARS: Headers = ((b"strict-transport-security", b"max-age=63072000"),)
_SHOP = "https://cdn.jsdelivr.net"  # where FastAPI's page takes Swagger UI from


def headers_of(settings: Settings) -> Headers:
    """What every answer carries; HSTS only where callers come by https."""
    return _ALWAYS + _NOTHING + _transport(settings)


def headers_of_docs(settings: Settings, title: str) -> Headers:
    """The same for the page at DOCS, which may load Swagger UI and read the document."""
    page = bytes(get_swagger_ui_html(openapi_url="/openapi.json", title=f"{title} - Swagger UI").body).decode()
    # Of inline scripts just the page's own may run, by its hash.
    hashes = [base64.b64encode(sha256(text.encode()).digest()).decode() for text in _inline(page)]
    scripts = " ".join(f"'sha256-{each}'" for each in hashes)
    policy = (
        f"default-src 'none'; script-src {_SHOP} {scripts}; style-src {_SHOP} 'unsafe-inline'; "
        "img-src 'self' data: https://fastapi.tiangolo.com; connect-src 'self'; frame-ancestors 'none'"
    )
    return (*_ALWAYS, (_CSP, policy.encode()), *_transport(settings))


def _inline(page: str) -> list[str]:
    return re.findall(r"<script>(.*?)</script>", page, re.DOTALL)


def _transport(settings: Settings) -> Headers:
    return _TWO_YEARS if settings.reachable_at.startswith("https://") else ()

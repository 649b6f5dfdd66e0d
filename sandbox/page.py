"""The page that shows what each vendor received."""

import base64
import hashlib
import re
from pathlib import Path

from sandbox.web import Reply


def inbox() -> Reply:
    """The page, allowed to run its own script and to load nothing from anywhere else."""
    body = (Path(__file__).parent / "pages" / "inbox.html").read_bytes()
    script = re.search(rb"<script>(.*?)</script>", body, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1]).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'"
    )
    headers = (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    )
    return Reply(200, body, headers)

"""Checks AWS Signature Version 4 as AWS does: over the request as it came in.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import re
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import parse_qsl, quote

from sandbox.web import Call

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
    r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)
_SKEW = 900  # seconds a request's date may differ


class BadSignature(Exception):
    """The request is not signed by our account. `code` is AWS's name for what is wrong."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check(call: Call, access_key: str, secret: str, service: str) -> None:
    """Raises BadSignature."""
    found = _AUTHORIZATION.fullmatch(call.header(b"authorization") or "")
    if found is None:
        raise BadSignature("MissingAuthenticationToken", "Missing Authentication Token")
    key, day, region, named_service, signed_headers, signature = found.groups()
    if key != access_key:
        raise BadSignature("InvalidClientTokenId", "The security token included in the request is invalid.")
    date = call.header(b"x-amz-date") or ""
    if named_service != service or not date.startswith(day) or not _fresh(date):
        raise BadSignature(
            "SignatureDoesNotMatch", "Signature expired, or its credential is scoped to another service."
        )
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", date, scope, _digest(_canonical(call, signed_headers).encode())))
    expected = hmac.new(_signing_key(secret, day, region, service), text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, signature):
        raise BadSignature(
            "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."
        )


def _fresh(date: str) -> bool:
    try:
        signed_at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs((datetime.now(UTC) - signed_at).total_seconds()) <= _SKEW


def _canonical(call: Call, signed_headers: str) -> str:
    path = quote(call.raw_path.decode("latin-1"), safe="/~")
    query = "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in sorted(_pairs(call.query)))
    headers = "".join(f"{name}:{_squeezed(call.header(name.encode()) or '')}\n" for name in signed_headers.split(";"))
    payload = call.header(b"x-amz-content-sha256") or ""
    if payload != "UNSIGNED-PAYLOAD":
        payload = _digest(call.body)
    return "\n".join((call.method, path, query, headers, signed_headers, payload))


def _pairs(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True)


def _squeezed(value: str) -> str:
    return " ".join(value.split())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@lru_cache(maxsize=16)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key

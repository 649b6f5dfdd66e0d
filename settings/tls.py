"""TLS to the servers and at the API's own door: contexts made from files, and every file tried before work begins."""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from settings.errors import SettingsError

if TYPE_CHECKING:
    from settings import Settings


def check(settings: "Settings") -> None:
    """Try every file that TLS needs. Raises SettingsError, one line that names the variable and the file."""
    # libpq's names in the URL of PostgreSQL, redis-py's in that of Redis: both drivers read them for themselves.
    for name, ca, cert, key in (
        ("database_url", "sslrootcert", "sslcert", "sslkey"),
        ("redis_url", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"),
    ):
        secret = getattr(settings, name)
        query = parse_qs(urlsplit(secret.get_secret_value()).query) if secret else {}
        files = [Path(query[each][0]) if each in query else None for each in (ca, cert, key)]
        _context(ssl.PROTOCOL_TLS_CLIENT, f"CLARION_{name.upper()}", *files)
    _context(
        ssl.PROTOCOL_TLS_CLIENT,
        "CLARION_TEMPORAL_CA, _CERT, _KEY",
        settings.temporal_ca,
        settings.temporal_cert,
        settings.temporal_key,
    )
    server_context(settings)


def server_context(settings: "Settings") -> ssl.SSLContext | None:
    """The API's own side, from TLS 1.2 up; with CLARION_TLS_CLIENT_CA only for callers with a certificate of that CA.

    None: no TLS here. Raises SettingsError.
    """
    if settings.tls_cert is None and settings.tls_key is None and settings.tls_client_ca is None:
        return None
    variables = "CLARION_TLS_CERT, _KEY, _CLIENT_CA"
    if settings.tls_cert is None:
        raise SettingsError("CLARION_TLS_CERT: is not set, though CLARION_TLS_KEY or CLARION_TLS_CLIENT_CA is")
    context = _context(ssl.PROTOCOL_TLS_SERVER, variables, settings.tls_client_ca, settings.tls_cert, settings.tls_key)
    if settings.tls_client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _context(protocol: int, variables: str, ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    for path in (ca, cert, key):
        if path is not None:
            _require_readable(variables, path)
    if key is not None and cert is None:
        raise SettingsError(f"{variables}: a key without its certificate")
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if ca is not None:
            context.load_verify_locations(ca)
    except ssl.SSLError:
        raise SettingsError(f"{variables}: {ca} holds no certificate in PEM") from None
    try:
        if cert is not None:
            context.load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, ValueError):
        named = cert if key is None else f"{cert} and {key}"
        raise SettingsError(f"{variables}: {named}: not a certificate and its own key, in PEM, unencrypted") from None
    return context


def _no_password() -> str:
    """Without it OpenSSL would ask on the terminal."""
    return ""


def _require_readable(variables: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{variables}: cannot read {path}: {error.strerror}") from None

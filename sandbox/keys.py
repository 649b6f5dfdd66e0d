"""Key pairs and certificates, to and from text."""

import base64
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID


def new_ec() -> ec.EllipticCurvePrivateKey:
    """A P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def new_rsa() -> rsa.RSAPrivateKey:
    """A 2048-bit key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def to_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """PKCS 8, unencrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def load_ec(pem: str) -> ec.EllipticCurvePrivateKey:
    """Read a P-256 key from its PEM."""
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def load_rsa(pem: str) -> rsa.RSAPrivateKey:
    """Read an RSA key from its PEM."""
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def public_der_base64(pem: str) -> str:
    """The public half of an EC key as SendGrid's settings page shows it."""
    public = load_ec(pem).public_key()
    return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def certificate(key: rsa.RSAPrivateKey, name: str) -> str:
    """A self-signed certificate for ten years, as PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()

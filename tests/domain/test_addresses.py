"""Email addresses: the short way says what the library says."""

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from domain.addresses import email_address

STRANGE = [
    "ada@Example.ORG",
    "ada.lovelace+tag@sub.example.org",
    "ada@b\u00fccher.example",
    "ad\u00e4@example.org",
    '"ada lovelace"@example.org',
    f"{'a' * 64}@example.org",
    f"{'a' * 65}@example.org",
    f"a@{'b' * 63}.{'c' * 63}.example",
    f"a@{'b' * 64}.example",
    ".ada@example.org",
    "ada.@example.org",
    "ada..l@example.org",
    "ada@",
    "@example.org",
    "ada",
    "a@b@example.org",
    "ada@example",
    "ada@[127.0.0.1]",
    "ada@example.org.",
    "ada@-example.org",
    "ada@exa mple.org",
    "ada@example.org\n",
    "ada @example.org",
    "",
]
PARTS = st.text(alphabet="aZ9.+-_@\u00e4\u212a \"'[]", max_size=12)


def by_library(text: str) -> str | None:
    try:
        return validate_email(text, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        return None


def by_us(text: str) -> str | None:
    try:
        return email_address(text)
    except ValueError:
        return None


@pytest.mark.parametrize("text", STRANGE)
def test_it_says_what_the_library_says(text: str) -> None:
    assert by_us(text) == by_library(text)


@given(PARTS, PARTS, st.sampled_from([".example", ".org", "", ".example.org"]))
def test_it_says_what_the_library_says_of_anything(local: str, domain: str, end: str) -> None:
    text = f"{local}@{domain}{end}"
    assert by_us(text) == by_library(text)

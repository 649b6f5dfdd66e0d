"""Addresses in their normal form. Each parser raises ValueError with one plain sentence."""

import re
from functools import lru_cache

import phonenumbers
from email_validator import EmailNotValidError, ValidatedEmail, validate_email

_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}\Z")  # FCM and APNs tokens: printable ASCII, no spaces


# The dot-atom of RFC 5322, as most addresses have it. What is longer or stranger is the library's business.
_USUAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_USUAL_LENGTH = 64


def email_address(text: str) -> str:
    """RFC 5321/6531 syntax, domain lower-cased. No DNS is asked: the vendor finds that out. Raises ValueError."""
    local, at, domain = text.rpartition("@")
    if at and len(text) <= _USUAL_LENGTH and _USUAL.fullmatch(local):
        return f"{local}@{_domain_of(domain)}"
    return _checked(text).normalized


@lru_cache(maxsize=10_000)
def _domain_of(domain: str) -> str:
    """The library takes 50 us for an address, and most are of few domains."""
    return _checked(f"a@{domain}").domain


def _checked(text: str) -> ValidatedEmail:
    try:
        return validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None


def phone_number(text: str) -> str:
    """A possible number in E.164 form (ITU-T E.164: `+` and at most 15 digits)."""
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        raise ValueError("A phone number must be in E.164 form, such as +14155550100.") from None
    if not phonenumbers.is_possible_number(number):
        raise ValueError("This is not a possible phone number.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def push_token(text: str) -> str:
    """A device token as the vendor issued it: 1 to 4096 printable ASCII characters."""
    if not _TOKEN.match(text):
        raise ValueError("A push token is 1 to 4096 printable ASCII characters.")
    return text

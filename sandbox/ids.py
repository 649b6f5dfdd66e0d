"""Ids as vendors make them: unique, but nobody's secret, and so without a system call for each."""

import base64
import random

_random = random.Random()  # noqa: S311 - seeded by the system; nothing rests on these being hard to guess


def hexadecimal(size: int) -> str:
    """So many bytes, two digits each."""
    return _random.randbytes(size).hex()


def urlsafe(size: int) -> str:
    """So many bytes in base64url without padding."""
    return base64.urlsafe_b64encode(_random.randbytes(size)).rstrip(b"=").decode()

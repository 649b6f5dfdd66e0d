"""What notifications are found by: tags, the beginnings of metadata, the words of their messages, all as terms.

A term is a short text that stands for one of those: `#campaign:may`, `morder:A-17`, `winvoice`. What is looked for is
a range of terms, so that one ordered index serves every kind of search.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.messages import Content

TAG = r"^[a-z0-9:_.-]{1,50}$"
MOST_TAGS = 10
MOST_VALUE = 100  # characters of a metadata value that are looked at, and of its key
MOST_SOUGHT = 8  # words in one search

# The kinds, as their terms begin. What comes from contents and metadata stands together, behind the tags.
_TAG, _METADATA, _WORD = "#", "m", "w"
FROM_TEXT = _METADATA

_MOST_WORDS = 200  # of one message: what is longer is found by its beginning
_MOST_TEXT = 10_000  # characters of one message that are looked at
_LONGEST_WORD = 64  # characters; the rest of a longer one is not looked at
_LAST = "\U0010ffff"  # behind every other character
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Sought:
    """Terms from `low` to `high`, both included, by code points. One of them has to be there."""

    low: str
    high: str

    @property
    def exact(self) -> bool:
        """Is there only one such term?"""
        return self.low == self.high


def terms_of_tags(tags: Iterable[str]) -> list[str]:
    """The terms under which these tags are found."""
    return [_TAG + tag for tag in tags]


def terms_of_text(content: Content, metadata: Mapping[str, Any] | None) -> list[str]:
    """The terms of what a tenant may choose to keep searchable: words, and metadata of a text as its value."""
    words: dict[str, None] = {}
    for part in (content.subject, content.title, content.text):
        for word in _words((part or "")[:_MOST_TEXT]):
            words[_WORD + word] = None
            if len(words) == _MOST_WORDS:
                break
    return [*words, *_metadata(metadata or {})]


def tag(name: str) -> Sought:
    """Those with this tag."""
    return Sought(_TAG + name, _TAG + name)


def tag_prefix(prefix: str) -> Sought:
    """Those with a tag that begins so."""
    return _beginning(_TAG + prefix)


def metadata_prefix(text: str) -> Sought:
    """Those with such a value in the metadata: `order:A-1` finds `{"order": "A-17"}`. Raises ValueError."""
    key, colon, value = text.partition(":")
    if not key or not colon or max(len(key), len(value)) > MOST_VALUE:
        raise ValueError(f"must be key:beginning-of-value, at most {MOST_VALUE} characters each")
    return _beginning(f"{_METADATA}{key}:{value}")


def words(text: str) -> Sequence[Sought]:
    """Those with all of these words; one that ends in `*` is the beginning of a word. Raises ValueError."""
    found: dict[Sought, None] = {}
    for token in text.split():
        parts = list(_words(token))
        for place, word in enumerate(parts):
            begins = token.endswith("*") and place == len(parts) - 1
            found[_beginning(_WORD + word) if begins else Sought(_WORD + word, _WORD + word)] = None
    if not 1 <= len(found) <= MOST_SOUGHT:
        raise ValueError(f"must hold 1 to {MOST_SOUGHT} words")
    return tuple(found)


def _beginning(text: str) -> Sought:
    return Sought(text, text + _LAST)


def _words(text: str) -> Iterator[str]:
    """Letters, digits and _ that stand together, whatever the language: alike in upper and lower case (NFKC)."""
    for word in _WORDS.findall(unicodedata.normalize("NFKC", text).casefold()):
        yield word[:_LONGEST_WORD]


def _metadata(metadata: Mapping[str, Any]) -> Iterator[str]:
    for key, value in metadata.items():
        if isinstance(value, str) and ":" not in key and len(key) <= MOST_VALUE:
            yield f"{_METADATA}{key}:{value[:MOST_VALUE]}"

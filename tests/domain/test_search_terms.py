"""Terms: whatever was written is found by what it is, by its beginnings, and by nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import search
from domain.messages import Content
from domain.search import MOST_VALUE, TAG, Sought, terms_of_tags, terms_of_text

TAGS = st.from_regex(re.compile(TAG.replace("$", r"\Z")))
LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=80)
KEYS = LINES.filter(lambda key: key and ":" not in key)


def found(sought: Sought, terms: list[str]) -> bool:
    """As PostgreSQL compares under the C collation: by bytes of UTF-8."""
    return any(sought.low.encode() <= term.encode() <= sought.high.encode() for term in terms)


@given(TAGS, TAGS, st.data())
def test_a_tag_is_found_by_itself_and_its_beginnings(one: str, other: str, data: st.DataObject) -> None:
    terms = terms_of_tags([one])
    assert found(search.tag(other), terms) == (one == other)
    assert found(search.tag_prefix(other), terms) == one.startswith(other)
    assert found(search.tag_prefix(one[: data.draw(st.integers(1, len(one)))]), terms)


@given(KEYS, LINES, KEYS, LINES)
def test_metadata_is_found_by_key_and_the_beginning_of_a_text(key: str, value: str, other: str, begin: str) -> None:
    terms = terms_of_text(Content(), {"n": 7, "deep": {"x": "y"}, key: value})
    assert found(search.metadata_prefix(f"{key}:{value[:5]}"), terms)
    same = other == key and value.startswith(begin)
    assert found(search.metadata_prefix(f"{other}:{begin}"), terms) == same
    assert len(terms) == 1


@given(LINES, LINES)
def test_every_word_of_a_message_is_found_whatever_its_case(text: str, subject: str) -> None:
    terms = terms_of_text(Content(text=text, subject=subject), None)
    for token in f"{text} {subject}".split():
        for asked in (token, token.casefold()):
            try:
                sought = search.words(asked)
            except ValueError:  # no word in it, or too many
                continue
            assert all(found(each, terms) for each in sought)


def test_a_beginning_is_asked_for_by_a_star_only() -> None:
    terms = terms_of_text(Content(text="Your Überweisung no. 4711-A", title="Invoice"), None)
    for text, hit in (("über*", True), ("ÜBERWEISUNG", True), ("über", False), ("4711-a", True), ("voice", False)):
        assert all(found(each, terms) for each in search.words(text)) is hit, text


@pytest.mark.parametrize("text", ["", "  ", "*", "...", " ".join(map(str, range(9)))])
def test_a_search_without_words_or_with_too_many_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="words"):
        search.words(text)


@pytest.mark.parametrize("text", ["", "order", ":A", "x" * (MOST_VALUE + 1) + ":A", "a:" + "x" * (MOST_VALUE + 1)])
def test_metadata_needs_a_key_and_a_colon(text: str) -> None:
    with pytest.raises(ValueError, match="key:"):
        search.metadata_prefix(text)


def test_what_is_very_long_is_bounded() -> None:
    many = " ".join(f"word{n}" for n in range(5000))
    terms = terms_of_text(Content(text=many), {"k": "v" * 5000, "x" * 101: "y"})
    assert len(terms) == 201 and max(map(len, terms)) < 200
    (huge,) = terms_of_text(Content(text="a" * 5000), None)
    assert found(search.words("a" * 255)[0], [huge])

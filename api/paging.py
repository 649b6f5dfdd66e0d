"""The frame of every list: what it takes, and where the next items are."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from api.cursors import MOST_CURSOR

_T = TypeVar("_T")


class ListQuery(BaseModel):
    """What every list takes. A misspelt filter is refused: without it everything would be found."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=50, ge=1, le=100, description="how many at most")
    cursor: str | None = Field(default=None, max_length=MOST_CURSOR, description="`page.next` of the page before")


class PageOut(BaseModel):
    """Where a list goes on. A page may be short, even empty, while `has_more` is true."""

    next: str | None = Field(description="the `cursor` of the next page")
    has_more: bool


def paged(found: Sequence[_T], limit: int, to: Callable[[_T], str]) -> tuple[Sequence[_T], PageOut]:
    """Of one more item than a page has: the page, and its foot. `to` makes the cursor that leads on from an item."""
    page = found[:limit]
    return page, page_of(to(page[-1]) if len(found) > limit else None)


def page_of(following: str | None) -> PageOut:
    """The frame's foot for a cursor, or for the end."""
    return PageOut(next=following, has_more=following is not None)

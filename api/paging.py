"""The frame of every list: the items, and where the next ones are."""

from pydantic import BaseModel, Field


class PageOut(BaseModel):
    """Where a list goes on. A page may be short, even empty, while `has_more` is true."""

    next: str | None = Field(description="the `cursor` of the next page")
    has_more: bool


def page_of(following: str | None) -> PageOut:
    """The frame's foot for a cursor, or for the end."""
    return PageOut(next=following, has_more=following is not None)

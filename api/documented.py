"""What the OpenAPI document says of problems."""

from collections import defaultdict
from typing import Any

from pydantic import BaseModel, Field

from api.problems import CODES, CONTENT_TYPE

_BY_STATUS: defaultdict[int, list[str]] = defaultdict(list)
for _name, _code in CODES.items():
    _BY_STATUS[_code.status].append(_name)


class FaultOut(BaseModel):
    """One thing wrong with a request."""

    pointer: str = Field(description="a JSON pointer into the body, or `/query/…` for a parameter")
    detail: str


class ProblemOut(BaseModel):
    """An error, as RFC 9457 has it."""

    model_config = {
        "json_schema_extra": {
            "example": {
                "type": "/problems/not_found",
                "title": "Not found",
                "status": 404,
                "detail": "There is no such notification.",
                "instance": "/status/01890a5d-ac96-774b-bcce-b302099a8057",
                "code": "not_found",
                "request_id": "01890a5d-b1f2-7c11-9d3e-0f6a5b2c7d88",
            }
        }
    }

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[FaultOut] = []


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that may answer with these statuses."""
    return {
        status: {
            "description": " or ".join(f"`{name}`" for name in _BY_STATUS[status]),
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}},
        }
        for status in statuses
    }

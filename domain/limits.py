"""What a tenant may send: rates, quotas, and how much of it to one person."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from domain.priorities import Priority

_Count = Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)]
_Seconds = Annotated[int, Field(ge=1, le=31 * 86_400, strict=True)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PerRecipient(_Frozen):
    """At most `n` messages to one address at once, and over time one more every `seconds / n` seconds."""

    n: _Count
    seconds: _Seconds
    channel: str | None = Field(None, description="null: each channel by itself")
    priority: Priority | None = Field(None, description="null: all priorities together")


class Limits(_Frozen):
    """What a tenant may send. The defaults keep out accidents, and leave room for 100,000 notifications a minute."""

    requests_per_second: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] = 10_000.0
    burst: Annotated[_Count, Field(description="requests that may come at once")] = 20_000
    notifications_per_minute: Annotated[_Count | None, Field(description="null: any number")] = 600_000
    daily: Annotated[
        Mapping[str, Annotated[int, Field(ge=0, le=1_000_000_000_000, strict=True)]],
        Field(description="deliveries by channel and day (UTC)"),
    ] = Field(default_factory=dict[str, int])
    recipients_per_request: Annotated[int, Field(ge=1, le=1000, strict=True)] = 1000
    per_recipient: Annotated[tuple[PerRecipient, ...], Field(max_length=10)] = ()
    weight: Annotated[int, Field(ge=1, le=100, strict=True, description="its share where tenants take turns")] = 1
    without_redis: Annotated[
        Literal["open", "closed"], Field(description="open: each process grants its share; closed: 503")
    ] = "open"

    @cached_property
    def policy(self) -> str:
        """As the header `RateLimit-Policy` says it (draft-ietf-httpapi-ratelimit-headers): quotas and their seconds."""
        parts = [f'"requests";q={self.burst};w={math.ceil(self.burst / self.requests_per_second)}']
        if self.notifications_per_minute is not None:
            parts.append(f'"notifications";q={self.notifications_per_minute};w=60')
        parts += [f'"daily {channel}";q={quota};w=86400' for channel, quota in sorted(self.daily.items())]
        return ", ".join(parts)


def changed(limits: Limits, changes: Mapping[str, object]) -> Limits:
    """The same with other values by field. Raises ValueError with one plain sentence."""
    try:
        return Limits.model_validate({**limits.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from None

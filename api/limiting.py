"""Holds a tenant's requests against its limits: all at once, before anything is taken."""

import hmac
import math
import time
from collections.abc import Sequence

from api.problems import Problem, retry_after
from api.terms import Terms
from domain.channels import Channels
from domain.limits import Limits, PerRecipient
from domain.submissions import Recipient, Submission
from observe import metrics
from throttle.limits import Asks, Granted, Item, Limiter, LimitsAway, bucket, daily

_REQUESTS = "requests"
_REMEMBERED = 10_000  # tenants that are told to wait
_SHUT = Granted(bucket("", "", 1, rate=1, burst=1), 1.0, 0, 1.0, 0)  # for tenants that send nothing without Redis


class Limiting:
    """One per API process."""

    def __init__(self, terms: Terms, limiter: Limiter, channels: Channels, secret: bytes) -> None:
        """`secret` keys the addresses that are counted."""
        self.of, self._limiter, self._secret = terms.of, limiter, secret
        self._fields = {channel.name: channel.address for channel in channels.values()}
        self._shut_until: dict[str, float] = {}

    def look(self, tenant: str) -> None:
        """Before a body is read: raises Problem 429 while the tenant has been told to wait with any request."""
        until = self._shut_until.get(tenant)
        if until is None:
            return
        if (left := until - time.monotonic()) > 0:
            raise self._refusal(self.of(tenant), _REQUESTS, left)
        del self._shut_until[tenant]

    def items_of_request(self, tenant: str) -> list[Item]:
        """What any request costs."""
        mine = self.of(tenant)
        return [bucket(_REQUESTS, f"r:{tenant}", 1, rate=mine.requests_per_second, burst=mine.burst)]

    def items_of(self, submission: Submission) -> list[Item]:
        """What a notification costs."""
        tenant, mine = submission.tenant, self.of(submission.tenant)
        items: list[Item] = []
        if (most := mine.notifications_per_minute) is not None:
            items.append(bucket("notifications", f"n:{tenant}", 1, rate=most / 60, burst=most))
        for channel in submission.channels:
            if (quota := mine.daily.get(channel)) is not None:
                items.append(daily(f"daily {channel}", f"d:{tenant}:{channel}", len(submission.recipients), quota))
        for place, rule in enumerate(mine.per_recipient):
            items += self._per_recipient(submission, place, rule)
        return items

    async def take(self, tenant: str, asks: Asks) -> list[Granted]:
        """The first ask is granted whole or costs nothing, and so are the others, if it was granted."""
        try:
            granted = await self._limiter.take(asks)
        except LimitsAway:
            if self.of(tenant).without_redis == "closed":
                return [_SHUT] * len(asks)
            granted = self._limiter.take_share(asks)
        for grant in granted if granted[0].refused is None else granted[:1]:
            if grant.refused is not None:
                metrics.count(metrics.LIMITED, grant.refused.limit.partition(" ")[0])
                if grant.refused.limit == _REQUESTS:
                    self._remember(tenant, grant.retry_after)
        return granted

    async def give(self, costs: Sequence[Item], grant: Granted) -> None:
        """What was granted is not needed."""
        await self._limiter.give(costs, grant)

    def refusal(self, tenant: str, grant: Granted) -> Problem:
        """What to say of an ask that was not granted."""
        assert grant.refused is not None
        if grant is _SHUT:
            return Problem("unavailable", "Limits cannot be checked now.", headers=retry_after(1))
        return self._refusal(self.of(tenant), grant.refused.limit, grant.retry_after)

    def headers(self, tenant: str, grant: Granted) -> dict[str, str]:
        """How its rate of requests stands."""
        standing = f'"{_REQUESTS}";r={grant.left};t={math.ceil(grant.full_in)}'
        return {"RateLimit": standing, "RateLimit-Policy": self.of(tenant).policy}

    def _refusal(self, mine: Limits, limit: str, wait: float) -> Problem:
        seconds = max(1, math.ceil(wait))
        told = {"Retry-After": str(seconds), "RateLimit-Policy": mine.policy}
        if limit == _REQUESTS:
            told["RateLimit"] = f'"{_REQUESTS}";r=0;t={seconds}'
        return Problem("rate_limited", f"The limit of {limit} is reached.", headers=told)

    def _per_recipient(self, submission: Submission, place: int, rule: PerRecipient) -> list[Item]:
        if rule.priority not in (None, submission.priority):
            return []
        items: dict[str, Item] = {}
        for channel in submission.channels:
            if rule.channel in (None, channel):
                for recipient in submission.recipients:
                    key = f"a:{submission.tenant}:{place}:{channel}:{self._hidden(recipient, channel)}"
                    items[key] = bucket("recipient", key, 1, rate=rule.n / rule.seconds, burst=rule.n)
        return list(items.values())

    def _hidden(self, recipient: Recipient, channel: str) -> str:
        """Whose address it is; by id where only the address book knows it. Redis holds no personal data."""
        address = recipient.addresses.get(self._fields[channel], recipient.id)
        return hmac.digest(self._secret, address.encode(), "sha256")[:16].hex()

    def _remember(self, tenant: str, wait: float) -> None:
        if len(self._shut_until) >= _REMEMBERED:
            self._shut_until.clear()
        self._shut_until[tenant] = time.monotonic() + wait

"""The table of channels: for each its route of providers, retries, windows and time-outs. The one place for policy.

A channel is a plug-in: an entry point in the group `clarion.channels` that names a `Channel`. The three below are
registered in the same way, so nothing here has to change when a fourth comes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

from domain.addresses import email_address, phone_number, push_token
from domain.priorities import Priority


class Then(StrEnum):
    """What to do with a send of which nothing more was heard."""

    ACCEPT = "accept"  # let it stand as `unconfirmed`
    RESEND = "resend"  # try the next provider, and count a possible duplicate


Seconds = Mapping[Priority, float]


def by_priority(high: float, normal: float, low: float) -> Seconds:
    """A figure in seconds for each priority."""
    return MappingProxyType({Priority.HIGH: high, Priority.NORMAL: normal, Priority.LOW: low})


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to reach people, and the policy for it. All times are seconds."""

    name: str
    address: str  # the recipient's field that says where to send, as in `recipients[].phone`
    parse_address: Callable[[str], str]  # the address in its normal form; ValueError with a plain sentence otherwise
    route: tuple[str, ...]  # provider names, first choice first
    weights: Mapping[str, float] = field(default_factory=dict[str, float])  # shares of new messages; none: by order
    retry: tuple[float, ...] = (1, 2, 4, 8, 16)  # the pause before each further try at the same provider
    window: float = 3600  # how long a receipt may take after `sent`
    silence: Then = Then.ACCEPT  # what to do when the window passes
    hush: float = 30  # a vendor is called silent only after this long without a receipt, and its own usual time
    doubt: Seconds = field(default_factory=lambda: by_priority(15, 60, 300))  # how long an `in_doubt` waits for news
    doubtful: Then = Then.RESEND  # what to do when that has passed
    timeout: Seconds = field(default_factory=lambda: by_priority(3, 10, 10))  # one vendor call
    # how long a due message waits while no provider of the route works; then it is a dead letter
    patience: Seconds = field(default_factory=lambda: by_priority(5 * 60, 3600, 6 * 3600))
    life: float = timedelta(days=3).total_seconds()  # a message still queued after this is given up

    @property
    def tries(self) -> int:
        """Claims allowed at one provider: the first and its retries."""
        return len(self.retry) + 1


Channels = Mapping[str, Channel]

EMAIL = Channel(
    name="email",
    address="email",
    parse_address=email_address,
    route=("sendgrid", "ses", "smtp"),
    hush=60,
    window=4 * 3600,  # greylisting and full queues hold mail for hours; most events come within seconds
)
SMS = Channel(name="sms", address="phone", parse_address=phone_number, route=("twilio", "sns"))
PUSH = Channel(name="push", address="push_token", parse_address=push_token, route=("fcm",))

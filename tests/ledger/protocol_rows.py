"""The protocol in small: what each step makes of a row, written from docs/protocol.md and not from the ledger's SQL.

Times are virtual seconds. Steps of time are multiples of 500 and all policies end on 250, so that the few real seconds
a test takes never decide anything.
"""

from dataclasses import dataclass

from domain.channels import Channel, Then, by_priority
from domain.settling import Roads

RESENDING = Channel(
    name="resending",
    address="email",
    parse_address=str,
    route=("alpha", "beta", "gamma"),
    retry=(1250, 2250),
    window=10_250,
    silence=Then.RESEND,
    doubt=by_priority(3250, 3250, 3250),
    doubtful=Then.RESEND,
    patience=by_priority(6250, 6250, 6250),
    life=18_250,
)
ACCEPTING = Channel(
    name="accepting",
    address="email",
    parse_address=str,
    route=("alpha", "beta"),
    retry=(1250,),
    window=5250,
    silence=Then.ACCEPT,
    doubt=by_priority(2250, 2250, 2250),
    doubtful=Then.ACCEPT,
    patience=by_priority(2250, 2250, 2250),
    life=30_250,
)
PLAIN = Channel(
    name="plain",
    address="email",
    parse_address=str,
    route=("gamma", "beta"),
    retry=(),
    window=5250,
    silence=Then.RESEND,
    doubt=by_priority(1250, 1250, 1250),
    doubtful=Then.RESEND,
    patience=by_priority(12_250, 12_250, 12_250),
    life=50_250,
)
CHANNELS = {channel.name: channel for channel in (RESENDING, ACCEPTING, PLAIN)}
MEMORY = {"alpha": 0, "beta": 6250, "gamma": 0}  # how long a vendor remembers a key
FINAL = {"gamma"}  # no receipts
BY_ID = {"beta"}  # receipts name the vendor's message id only

ENDS = {"delivered", "sent_final", "unconfirmed", "failed", "dead", "cancelled", "expired", "suppressed"}
WAITS = {"sent", "in_doubt"}


@dataclass
class Row:
    """One delivery as it ought to be."""

    channel: Channel
    due: int
    expires: int | None
    give_up: int
    provider: str
    status: str = "queued"
    attempt: int = 0
    key_no: int = 0
    tries: int = 0
    doubts: int = 0
    duplicates: int = 0
    claimed_by: object = None
    key_at: int = 0
    sent_at: int = 0
    doubt_until: int | None = None
    had: tuple[str, ...] = ()  # providers that have had their chance

    @property
    def spent(self) -> bool:
        """No try is left at this provider."""
        return self.tries > len(self.channel.retry)

    def expired(self, now: int) -> bool:
        return self.expires is not None and self.expires < now

    def claim(self, me: object, provider: str, now: int) -> bool:
        if (self.status, self.provider) != ("queued", provider) or self.due > now or self.expired(now) or self.spent:
            return False
        self.duplicates += self.doubts > 0
        self.key_no += 1
        self.key_at = now
        self.doubt_until = None
        self._send(me)
        return True

    def resume(self, me: object, provider: str, now: int) -> bool:
        young = self.key_at + MEMORY[provider] > now
        if (self.status, self.provider) != ("in_doubt", provider) or not young or self.expired(now) or self.spent:
            return False
        if self.due > now or (self.doubt_until or 0) < now:
            return False
        self._send(me)
        return True

    def _send(self, me: object) -> None:
        self.status, self.claimed_by = "sending", me
        self.attempt += 1
        self.tries += 1

    def abandon(self, me: object, provider: str, now: int) -> None:
        if (self.status, self.provider) == ("sending", provider) and self.claimed_by != me:
            self._doubt(now)

    def _doubt(self, now: int) -> None:
        self.status = "in_doubt"
        self.doubts += 1
        self.doubt_until = self.doubt_until or now + int(self.channel.doubt["normal"])
        pauses = self.channel.retry
        self.due = now + (int(pauses[self.tries - 1]) if self.tries <= len(pauses) else 2)

    def record(self, attempt: int, outcome: str, provider: str, now: int, pause: int) -> bool:
        """True if the answer counted (also one that changed nothing, of a row in doubt)."""
        if attempt != self.attempt or self.status not in ("sending", "in_doubt"):
            return False
        if outcome == "in_doubt":
            if self.status == "sending":
                self._doubt(now)
            return True
        self.doubts -= self.status == "in_doubt"
        if outcome == "accepted":
            self.status, self.sent_at = ("sent_final" if provider in FINAL else "sent"), now
        elif outcome == "rejected":
            self.status = "failed"
        elif outcome in ("throttled", "released"):
            self.status, self.due = "queued", now + (pause if outcome == "throttled" else 0)
            self.tries -= 1
        elif self.spent:
            self.status = "undelivered"
        else:
            self.status, self.due = "queued", now + int(self.channel.retry[self.tries - 1])
        return True

    def delivered(self) -> None:
        if self.status not in ("delivered", "cancelled", "expired", "suppressed"):
            self.status = "delivered"

    def undelivered(self, key_no: int | None) -> None:
        if key_no is not None and key_no != self.key_no:
            return
        if self.status in ("sending", "sent", "in_doubt"):
            self.doubts -= self.status == "in_doubt"
            self.status = "undelivered"
        elif self.status in ("unconfirmed", "sent_final"):
            self.status = "failed"

    def divert(self, provider: str, to: str, now: int) -> bool:
        if (self.status, self.provider) != ("queued", provider) or self.due > now or self.expired(now) or self.spent:
            return False
        if to in self.had:
            return False
        self.provider, self.tries = to, 0
        self.had += (to,)
        return True

    def settle(self, now: int, roads: Roads) -> None:
        while self._settle_once(now, roads):
            pass

    def _settle_once(self, now: int, roads: Roads) -> bool:
        if self.status == "undelivered":
            return self._onward(now, roads)
        if self.status == "queued":
            return self._queued(now, roads)
        if self.status == "sent" and self.sent_at + self.channel.window < now:
            if self.channel.silence is Then.ACCEPT or self._next(roads) is None:
                self.status = "unconfirmed"
                return True
            self.doubts += 1
            return self._onward(now, roads)
        if self.status == "in_doubt" and (self.doubt_until or 0) < now:
            if self.channel.doubtful is Then.ACCEPT:
                self.status = "unconfirmed"
            elif self._next(roads) is None and not self.spent:
                self.status, self.due = "queued", now
            else:
                self._onward(now, roads)
            return True
        return False

    def _queued(self, now: int, roads: Roads) -> bool:
        if self.expired(now):
            self.status = "unconfirmed" if self.doubts else "expired"
            return True
        if self.spent or self.give_up < now:
            return self._onward(now, roads)
        if self.provider not in roads.held:
            return False
        working = [name for name in roads.order if name not in roads.held and name not in self.had]
        if working:
            self.provider, self.tries, self.due = working[0], 0, now
        elif self.due + self.channel.patience["normal"] < now:
            self.status = "dead"
        else:
            return False
        return True

    def _next(self, roads: Roads) -> str | None:
        """The best by health that has not had its chance; then the rest of the route."""
        for name in (*roads.order, *self.channel.route):
            if name != self.provider and name not in self.had:
                return name
        return None

    def _onward(self, now: int, roads: Roads) -> bool:
        following = self._next(roads)
        if following is None:
            self.status = "dead"
        else:
            self.had += (self.provider,)
            self.status, self.provider, self.tries, self.due = "queued", following, 0, now
        return True

    def cancel(self) -> None:
        if self.status == "queued":
            self.status = "unconfirmed" if self.doubts else "cancelled"

    def retry(self, provider: str | None, now: int) -> None:
        if self.status == "dead":
            self.status, self.provider, self.tries = "queued", provider or self.channel.route[0], 0
            self.due, self.give_up, self.had = now, now + int(self.channel.life), ()

    def discard(self) -> None:
        if self.status == "dead":
            self.status = "failed"

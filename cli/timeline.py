"""The history of a notification's deliveries in words: from what the API says to lines a person reads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cli import moments
from cli.output import aligned

ENDS = frozenset({"COMPLETED", "PARTIAL_FAILURE", "FAILED", "CANCELLED"})

_NEWS = {"record": "answered", "receipt": "reported"}  # too late to change anything

Status = Mapping[str, Any]
"""The answer of `GET /status/{id}?expand=events`."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened to one delivery, `seconds` after its notification was accepted."""

    delivery: Mapping[str, Any]
    event: Mapping[str, Any]
    seconds: float

    @property
    def channel(self) -> str:
        """Of the delivery."""
        return self.delivery["channel"]

    @property
    def recipient(self) -> str:
        """Of the delivery, by id."""
        return self.delivery["recipient_id"]

    @property
    def when(self) -> str:
        """`+0.294 s`; longer times in fewer digits."""
        return f"+{self.seconds:.3f} s" if self.seconds < 100 else f"+{self.seconds:.0f} s"

    @property
    def word(self) -> str:
        """What became of the delivery."""
        step, old, new = self.event["step"], self.event["from"], self.event["to"]
        if old == new and step in _NEWS:
            return _NEWS[step]
        word = new.lower().replace("_", " ")
        return f"{word} again" if new == "QUEUED" and old is not None else word

    @property
    def details(self) -> str:
        """Who did it, under which id, and why."""
        said = ", ".join(filter(None, self._said()))
        return ": ".join(filter(None, (said, self.event["reason"])))

    def _said(self) -> tuple[str, ...]:
        event = self.event
        provider, message = event["provider"], event["message_id"]
        match event["step"]:
            case "receipt":
                return (f"signed receipt of {provider}" if provider else "signed receipt",)
            case "claim" | "resume":
                return (f"by {provider}", f"try {event['attempt']}" if event["attempt"] > 1 else "")
            case "record":
                return (f"by {provider}", f"vendor's id {message}" if message else "")
            case _:
                return (f"for {provider}" if provider and event["to"] == "QUEUED" else "",)


def happened(status: Status) -> Iterator[Happening]:
    """Everything that happened, delivery by delivery, each oldest first."""
    start = moments.parsed(status["created_at"])
    for delivery in status["deliveries"]:
        for event in delivery["events"]:
            seconds = (moments.parsed(event["at"]) - start).total_seconds()
            yield Happening(delivery, event, max(0.0, seconds))


def told(status: Status) -> Iterator[str]:
    """The whole history as text: each delivery with its lines below it."""
    rows: dict[str, list[tuple[str, str, str]]] = {delivery["id"]: [] for delivery in status["deliveries"]}
    for one in happened(status):
        rows[one.delivery["id"]].append((one.when.rjust(10), one.word, one.details))
    for delivery in status["deliveries"]:
        yield f"{delivery['channel']} to {delivery['recipient_id']}: {delivery['status']}"
        yield from (f"  {line}" for line in aligned(rows[delivery["id"]] or [()]))

"""Twilio's memory of messages, as its API lists them."""

from collections import OrderedDict
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import Any

from sandbox.messages import Message

_KEPT = 10_000  # newest messages
_MOST = 1000  # in one page, as Twilio has it


def _date(at: float) -> str:
    return _second(int(at))


@lru_cache(maxsize=64)
def _second(at: int) -> str:
    return format_datetime(datetime.fromtimestamp(at, UTC))


class Store:
    """The newest messages by their sid."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._messages: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def resource(self, message: Message, at: float) -> dict[str, Any]:
        """A new message as the API shows it: queued."""
        uri = f"/2010-04-01/Accounts/{self._account}/Messages/{message.id}"
        service = message.sender if message.sender and message.sender.startswith("MG") else None
        return {
            "account_sid": self._account,
            "api_version": "2010-04-01",
            "body": message.text,
            "date_created": (created := _date(at)),
            "date_sent": None,
            "date_updated": created,
            "direction": "outbound-api",
            "error_code": None,
            "error_message": None,
            "from": None if service else message.sender,
            "messaging_service_sid": service,
            "num_media": "0",
            "num_segments": str(1 + (len(message.text) - 1) // 153 if len(message.text) > 160 else 1),
            "price": None,
            "price_unit": "USD",
            "sid": message.id,
            "status": "accepted" if service else "queued",
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": message.to,
            "uri": f"{uri}.json",
        }

    def keep(self, resource: dict[str, Any]) -> None:
        """Remember an accepted message."""
        self._messages[resource["sid"]] = resource
        if len(self._messages) > _KEPT:
            self._messages.popitem(last=False)

    def note(self, sid: str, status: str, at: float) -> None:
        """A message's status has changed."""
        resource = self._messages.get(sid)
        if resource is None:
            return
        resource["status"] = status
        resource["date_updated"] = _date(at)
        resource["date_sent"] = resource["date_sent"] or _date(at)
        if status in ("undelivered", "failed"):
            resource["error_code"], resource["error_message"] = 30003, "Unreachable destination handset"

    def get(self, sid: str) -> dict[str, Any] | None:
        """One message."""
        return self._messages.get(sid)

    def list(self, query: dict[str, str], path: str) -> dict[str, Any]:
        """One page, newest first, filtered by To, From and DateSent (a UTC day; also `DateSent>` and `DateSent<`)."""
        size = min(int(query.get("PageSize", "50")) if query.get("PageSize", "50").isdecimal() else 50, _MOST)
        page = int(query.get("Page", "0")) if query.get("Page", "0").isdecimal() else 0
        found = [one for one in reversed(self._messages.values()) if _matches(one, query)]
        shown = found[page * size : (page + 1) * size]
        more = len(found) > (page + 1) * size
        return {
            "messages": shown,
            "page": page,
            "page_size": size,
            "start": page * size,
            "end": page * size + len(shown) - 1 if shown else 0,
            "first_page_uri": f"{path}?PageSize={size}&Page=0",
            "next_page_uri": f"{path}?PageSize={size}&Page={page + 1}" if more else None,
            "previous_page_uri": f"{path}?PageSize={size}&Page={page - 1}" if page else None,
            "uri": f"{path}?PageSize={size}&Page={page}",
        }


def _matches(resource: dict[str, Any], query: dict[str, str]) -> bool:
    if query.get("To") not in (None, "", resource["to"]) or query.get("From") not in (None, "", resource["from"]):
        return False
    asked = {name: day for name in ("DateSent", "DateSent>", "DateSent<") if (day := query.get(name, "")[:10])}
    if not asked:
        return True
    if resource["date_sent"] is None:
        return False
    sent = parsedate_to_datetime(resource["date_sent"]).date().isoformat()
    holds = {"DateSent": sent.__eq__, "DateSent>": sent.__ge__, "DateSent<": sent.__le__}  # Twilio's > and < include it
    return all(holds[name](day) for name, day in asked.items())

"""Reading the log over HTTP: pages of all of it, the newest of one vendor, counts."""

import asyncio
from collections import Counter

import orjson

from sandbox.shared import Shared
from sandbox.web import Call, Reply, problem, reply

_MOST = 10_000  # lines in one page


class Logbook:
    """What `/log` answers."""

    def __init__(self, shared: Shared, vendors: list[str]) -> None:
        self._shared = shared
        self._vendors = vendors

    async def page(self, call: Call) -> Reply:
        """`?vendor=&after=N&limit=`: lines numbered above `after`, oldest first, and `next` to go on from."""
        query = call.parameters()
        try:
            after, limit = int(query.get("after") or 0), int(query.get("limit") or 1000)
        except ValueError:
            return problem(422, "Unprocessable Content", "after and limit are whole numbers")
        if after < 0 or not 1 <= limit <= _MOST:
            return problem(422, "Unprocessable Content", f"after from 0, limit from 1 to {_MOST}")
        journal = self._shared.journal
        journal.flush()
        data, reached = await asyncio.to_thread(journal.read, after, limit, query.get("vendor") or None)
        return reply(200, {"data": data, "next": reached})

    def newest(self, call: Call) -> Reply:
        """`?vendor=&limit=`: the newest of one vendor, newest first, from memory."""
        query = call.parameters()
        limit = query.get("limit", "100")
        if query.get("vendor") not in self._vendors or not limit.isdecimal():
            return problem(422, "Unprocessable Content", f"vendor is one of {', '.join(self._vendors)}")
        lines = self._shared.journal.newest[query["vendor"]]
        kept = [lines[-1 - index] for index in range(min(int(limit), len(lines)))]
        return reply(200, {"data": [orjson.Fragment(line) for line in kept]})

    def counts(self) -> dict[str, dict[str, int]]:
        """Per vendor: messages accepted, calls refused; reports posted, acknowledged, given up, tried again."""
        tally = self._shared.postman.tally
        columns: dict[str, dict[str, int] | Counter[str]] = {
            "accepted": self._shared.journal.accepted,
            "refused": self._shared.refused,
            "posted": tally.posted,
            "acknowledged": tally.acknowledged,
            "dropped": tally.dropped,
            "retries": tally.retries,
        }
        return {vendor: {name: column.get(vendor, 0) for name, column in columns.items()} for vendor in self._vendors}

    def empty(self) -> Reply:
        """Forget messages, counts and planned reports."""
        self._shared.forget()
        return Reply(204)

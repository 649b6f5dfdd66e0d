"""Bends webhook calls and posts them through the API's own door: nothing bent may be believed, nothing may break it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from api.asgi import App
from bench.fuzz.mutations import Bent, Mutator
from bench.fuzz.schemes import Scheme
from ledger.database import Database
from providers.base import Call

_REFUSED = frozenset({401, 404, 413})
_UNDERSTOOD = frozenset({200, 422})  # the signature held
_KNOWN = 25  # genuine calls of each scheme, taken before any is bent
# By turns so many bent calls, between two looks into the ledger, and so much nonsense under a good signature: that is
# the vendor's own, may still hold a report, and shall only not break anything.
_BENT, _NONSENSE = 450, 50
_SHOWN = 20  # findings told in full

_ROWS = """
SELECT (SELECT count(*) FROM receipt) AS receipts,
       (SELECT count(*) FROM delivery_event) AS events,
       (SELECT md5(coalesce(string_agg(r::text, ',' ORDER BY r.provider, r.event_id), '')) FROM receipt r) AS content
"""


@dataclass
class Outcome:
    """What came of a run. `findings`: what must not be, a line each; `statuses`: answers, by scheme and kind."""

    calls: int = 0
    same: int = 0
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    findings: list[str] = field(default_factory=list[str])

    def found(self, line: str) -> None:
        """Keep a finding; a flood of them is cut."""
        if len(self.findings) < _SHOWN:
            self.findings.append(line)


def fault_of(bent: Bent, status: int, schemes: Mapping[str, Scheme]) -> str | None:
    """What is wrong with this answer to a bent call; None if it is as it should be."""
    if status in _REFUSED:
        return None
    if status not in _UNDERSTOOD:
        return f"answered {status}"
    return None if says_the_same(bent, schemes) else f"believed ({status})"


def says_the_same(bent: Bent, schemes: Mapping[str, Scheme]) -> bool:
    """Whether what was bent is not covered by the signature: such a call is still the genuine one."""
    scheme = schemes[bent.scheme]
    return bent.path == bent.scheme and scheme.covered(bent.call) == scheme.covered(bent.origin) is not None


async def run(
    app: App,
    db: Database,
    schemes: Mapping[str, Scheme],
    *,
    calls: int,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Outcome:
    """So many bent calls, then a genuine one of each scheme. `progress` hears how many are done."""
    outcome = Outcome()
    known = await _believed(app, db, schemes, outcome)
    mutator = Mutator(schemes, known, seed)
    while outcome.calls < calls:
        rows, first = await _rows(db), outcome.calls
        for _ in range(min(_BENT, calls - first)):
            await _try(app, mutator.next(), schemes, outcome)
        if (now := await _rows(db)) != rows:
            outcome.found(f"the ledger changed between call {first} and {outcome.calls}: {rows} -> {now}")
        for _ in range(min(_NONSENSE, calls - outcome.calls)):
            await _try_nonsense(app, mutator, outcome)
        progress(outcome.calls)
    await _believed(app, db, schemes, outcome, each=1)
    return outcome


async def _believed(
    app: App, db: Database, schemes: Mapping[str, Scheme], outcome: Outcome, *, each: int = _KNOWN
) -> dict[str, list[Call]]:
    """Genuine calls, taken: a door that refuses everything would prove nothing."""
    known = {name: [scheme.genuine() for _ in range(each)] for name, scheme in schemes.items()}
    before = (await _rows(db))[0]
    for name, calls in known.items():
        for call in calls:
            if (status := await post(app, name, call)) != 200:
                outcome.found(f"{name}: a genuine call was answered {status}")
    rows = (await _rows(db))[0] - before
    if rows != each * len(schemes):
        outcome.found(f"{each * len(schemes)} genuine calls left {rows} rows")
    return known


async def _try(app: App, bent: Bent, schemes: Mapping[str, Scheme], outcome: Outcome) -> None:
    status = await post(app, bent.path, bent.call)
    outcome.calls += 1
    outcome.statuses[bent.scheme, status] += 1
    outcome.same += status in _UNDERSTOOD
    if fault := fault_of(bent, status, schemes):
        outcome.found(f"{bent.scheme}, {bent.kind}: {fault}: {bent.call.headers} {bent.call.body[:300]!r}")


async def _try_nonsense(app: App, mutator: Mutator, outcome: Outcome) -> None:
    bent = mutator.nonsense()
    status = await post(app, bent.path, bent.call)
    outcome.calls += 1
    outcome.statuses[f"{bent.scheme}, signed nonsense", status] += 1
    if status not in _UNDERSTOOD | _REFUSED:
        outcome.found(f"{bent.scheme}, signed nonsense: answered {status}: {bent.call.body[:300]!r}")


async def _rows(db: Database) -> tuple[int, int, str]:
    (row,) = await db.run(_ROWS)
    return row.receipts, row.events, row.content


async def post(app: App, provider: str, call: Call) -> int:
    """The status of the answer to one call, without a socket in between."""
    url = urlsplit(call.url)
    statuses: list[int] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": call.body, "more_body": False}

    async def send(message: Mapping[str, object]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(int(str(message["status"])))

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": f"/webhook/{provider}",
        "query_string": url.query.encode(),
        "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in call.headers.items()],
        "client": ("192.0.2.1", 4711),
        "server": ("notify.example.com", 443),
    }
    await app(scope, receive, send)
    return statuses[0]

"""Every metric of Clarion, in one table. Labels take few fixed values: never a tenant, a recipient or an id."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from observe.reading import Reading

disable_created_metrics()  # the `_created` series double the size of an exposition and serve nobody here

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_CALL = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_TO_SENT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600)  # holds 1, 5 and 30 s: the goals
_RECEIPT = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400)
_SIZE = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

# Counters. In the exposition each name ends in `_total`.
ACCEPTED = Counter("clarion_accepted", "Notifications answered with 202", ["priority"])
REFUSED = Counter("clarion_refused", "Requests refused, by the code of the problem", ["reason"])
LIMITED = Counter("clarion_limited", "Requests and items that a tenant's limit refused", ["limit"])
CLAIMS = Counter("clarion_claims", "Deliveries claimed for one vendor call each", ["channel", "provider"])
SENDS = Counter("clarion_sends", "Answers of vendors, one a delivery", ["channel", "provider", "outcome"])
RECEIPTS = Counter(
    "clarion_receipts",
    "Reports of vendors; result is matched, repeated, parked, ignored or forged",
    ["provider", "report", "result"],
)
POSSIBLE_DUPLICATES = Counter(
    "clarion_possible_duplicates", "Sends repeated while an earlier one was in doubt", ["channel"]
)
LOOKUPS = Counter(
    "clarion_lookups",
    "Sends in doubt their vendor was asked about; result is found, not_found or failed",
    ["provider", "result"],
)
FALLBACKS = Counter(
    "clarion_fallbacks", "Deliveries handed on to the next provider, by the one left", ["channel", "provider"]
)
BREAKER_CHANGES = Counter(
    "clarion_breaker_changes", "Changes of a provider's breaker, by the state it came to", ["provider", "status"]
)
PAUSES = Counter("clarion_provider_pauses", "Pauses that vendors asked for", ["provider"])
REDIS_FALLBACKS = Counter("clarion_redis_fallbacks", "Questions Redis did not answer, so that this process decided")

# Histograms. `_count` of FLUSH_SIZE is the number of flushes.
FLUSH_SIZE = Histogram("clarion_flush_size", "Rows carried by one flush of a lane", ["lane"], buckets=_SIZE)
ACCEPT = Histogram("clarion_accept_seconds", "POST /notify, from request to answer", ["status"], buckets=_FAST)
COMMIT = Histogram("clarion_commit_seconds", "One transaction of the ledger", ["step"], buckets=_FAST)
ACCEPT_TO_SENT = Histogram(
    "clarion_accept_to_sent_seconds",
    "From the answer 202 (or the due time, if later) to the vendor's first yes",
    ["channel", "priority"],
    buckets=_TO_SENT,
)
VENDOR_CALL = Histogram("clarion_vendor_call_seconds", "One call to a vendor", ["provider", "outcome"], buckets=_CALL)
RECEIPT_DELAY = Histogram(
    "clarion_receipt_delay_seconds", "From the vendor's yes to its report", ["provider"], buckets=_RECEIPT
)

# What one process knows of itself.
LANE_DEPTH = Gauge("clarion_lane_depth", "Requests waiting in memory for the next flush", ["lane"])
LANE_BACKLOG = Gauge(
    "clarion_lane_backlog",
    "Deliveries accepted by any API process and not yet looked at by a run, as this one last read it",
    ["channel", "priority"],
)
LANE_BACKLOG_LIMIT = Gauge("clarion_lane_backlog_limit", "What a channel may have waiting before the door refuses")
LIMITS_ALONE = Gauge("clarion_limits_alone", "1: without Redis, this process grants its own share of every limit")
SWEPT_AT = Gauge("clarion_sweep_timestamp_seconds", "Unix time of this process's last finished sweep")

# How this process last saw the providers.
BREAKER = Reading("clarion_breaker_state", "0: closed, 1: half open, 2: open", "provider")
PROVIDER_SWITCH = Reading(
    "clarion_provider_switch", "What an operator wants, 0: enabled, 1: draining, 2: disabled", "provider"
)
WORKING = Reading("clarion_channel_working_providers", "Providers of its route that take new messages", "channel")

# What whoever sweeps reads for the whole of Clarion.
DEAD_LETTERS = Reading("clarion_dead_letters", "Dead letters waiting for a person", "channel")
DEAD_LETTER_AGE = Reading("clarion_dead_letter_oldest_age_seconds", "Age of the oldest dead letter", "channel")
BACKLOG = Reading("clarion_backlog", "Tasks waiting in a task queue", "queue")
BACKLOG_AGE = Reading("clarion_backlog_age_seconds", "Age of the oldest task waiting in a task queue", "queue")
QUEUE_POLLERS = Reading("clarion_queue_pollers", "Pollers seen on a task queue within the last minutes", "queue")
OVERDUE = Reading("clarion_open_batches_overdue", "Open batches that nobody looked at in time")


def count(metric: Counter, *labels: str, n: float = 1) -> None:
    """Add `n`; the labelled child is looked up once for all."""
    if n:
        _counter(metric, *labels).inc(n)


def observe(metric: Histogram, *labels: str, seconds: float) -> None:
    """Put one value into a histogram; for many of the same labels take `child` and call its `observe`."""
    child(metric, *labels).observe(seconds)


@cache
def child(metric: Histogram, *labels: str) -> Histogram:
    """The histogram for these labels, made once."""
    return metric.labels(*labels)


@cache
def _counter(metric: Counter, *labels: str) -> Counter:
    return metric.labels(*labels)

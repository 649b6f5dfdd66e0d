"""A gauge that somebody reads for the whole system, and that is forgotten when nobody reads it any more."""

import time
from collections.abc import Iterator, Mapping

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

FRESH = 60.0  # seconds


class Reading(Collector):
    """All values of one gauge, as they were read together.

    The sweep runs now in this worker, now in that one: a plain gauge would go on showing the last worker's old values
    beside the new ones. Here what was not read again within FRESH seconds is gone, and so is a label (a channel, a
    queue) that a new reading does not name.
    """

    def __init__(self, name: str, documentation: str, *labels: str) -> None:
        self.name = name
        self.labels = labels
        self._documentation = documentation
        self._values: Mapping[str, float] = {}
        self._read_at = float("-inf")
        REGISTRY.register(self)

    def set(self, values: Mapping[str, float]) -> None:
        """Replace all values: by label value, or `{"": n}` for a gauge without a label."""
        self._values, self._read_at = dict(values), time.monotonic()

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name and labels, without values."""
        yield GaugeMetricFamily(self.name, self._documentation, labels=self.labels)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What prometheus_client asks at every scrape."""
        family = GaugeMetricFamily(self.name, self._documentation, labels=self.labels)
        if time.monotonic() - self._read_at < FRESH:
            for value, number in self._values.items():
                family.add_metric([value] if self.labels else [], number)
        yield family

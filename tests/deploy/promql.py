"""Reads just enough PromQL to see whether an expression names metrics and labels that exist."""

import re
from dataclasses import dataclass

from prometheus_client import REGISTRY

import observe.metrics
from domain.outcomes import Outcome
from domain.priorities import Priority
from domain.receipts import Report

_NAME = re.compile(r"\b(?:clarion|node|temporal)_[a-z0-9_]+|\bup\b")
_SELECTOR = re.compile(r"\b((?:clarion|node|temporal)_[a-z0-9_]+|up)\s*\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")

OUTSIDE = {"up", "node_filesystem_avail_bytes", "node_filesystem_size_bytes"}  # exposed by others
_TARGET = {"instance", "job"}  # added by Prometheus to everything it scrapes

VALUES = {
    "outcome": set(Outcome),
    "priority": set(Priority),
    "report": set(Report) | {"none"},
    "result": {"matched", "repeated", "parked", "ignored", "forged"},
}


@dataclass(frozen=True)
class Known:
    """A series and the labels it has."""

    labels: frozenset[str]


def series() -> dict[str, Known]:
    """Every series Clarion exposes, by its full name (`_total`, `_bucket`, ...)."""
    found: dict[str, Known] = {}
    for family in REGISTRY.collect():
        labels = frozenset(_labels_of(family.name))
        for suffix in _SUFFIXES[family.type]:
            extra = {"le"} if suffix == "_bucket" else set[str]()
            found[family.name + suffix] = Known(labels | extra | _TARGET)
    return found


def mistakes(expression: str) -> list[str]:
    """What does not exist in this expression, one line each; empty when all is well."""
    known = series()
    names = set(_NAME.findall(expression))
    lines = [f"no metric {name}" for name in names if name not in known and name not in OUTSIDE]
    for name, matchers in _SELECTOR.findall(expression):
        if name in known:
            lines += _wrong_matchers(name, known[name].labels, matchers)
    ours = [known[name].labels for name in names if name in known]
    if ours:
        grouped = {label.strip() for group in _GROUPING.findall(expression) for label in group.split(",")} - {""}
        lines += [f"no metric here has a label {label}" for label in grouped - frozenset().union(*ours)]
    return lines


def _wrong_matchers(name: str, labels: frozenset[str], matchers: str) -> list[str]:
    lines = []
    for label, operator, value in _MATCHER.findall(matchers):
        if label not in labels:
            lines.append(f"{name} has no label {label}")
        elif label in VALUES and not value.startswith("$"):
            values = value.split("|") if "~" in operator else [value]
            lines += [f"{label} is never {one}" for one in values if one not in VALUES[label]]
    return lines


_SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
    "summary": ("_count", "_sum"),
    "info": ("_info",),
    "unknown": ("",),
}


def _labels_of(name: str) -> tuple[str, ...]:
    for metric in vars(observe.metrics).values():
        if getattr(metric, "_name", getattr(metric, "name", None)) == name:
            return tuple(getattr(metric, "_labelnames", getattr(metric, "labels", ())))
    return ()

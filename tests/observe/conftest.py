"""Fixtures of the tests of observe/."""

from otlp_sink import sink

__all__ = ["sink"]

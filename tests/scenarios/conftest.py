"""Fixtures of the scenarios."""

from stage_fixtures import _sandbox, set_stage, stage, vendors

__all__ = ["_sandbox", "set_stage", "stage", "vendors"]

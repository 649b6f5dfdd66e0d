"""Fixtures of the scenarios."""

from stage_fixtures import SetStage, _sandbox, set_stage, stage, vendors

__all__ = ["SetStage", "_sandbox", "set_stage", "stage", "vendors"]

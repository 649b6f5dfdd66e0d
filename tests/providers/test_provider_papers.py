"""docs/providers.md says what the tables say."""

from provider_papers import PAPER, paper

from domain.outcomes import Outcome
from providers.registry import provider_classes


def test_the_paper_is_as_generated() -> None:
    assert PAPER.read_text() == paper(), "run: python tests/providers/provider_papers.py"


def test_no_table_claims_what_a_code_cannot_say() -> None:
    for cls in provider_classes().values():
        outcomes = set(cls.errors.values())  # type: ignore[attr-defined]
        assert outcomes.isdisjoint({Outcome.ACCEPTED, Outcome.RELEASED})
        assert {Outcome.REJECTED, Outcome.RETRYABLE, Outcome.THROTTLED, Outcome.VENDOR_DOWN} <= outcomes

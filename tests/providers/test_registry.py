"""A channel's policy from its JSON form: what makes no sense is refused with a line that names it."""

from typing import Any

import pytest

from providers.registry import installed
from settings import SettingsError


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights": {"pigeon": 1}}, "no provider 'pigeon'"),
        ({"weights": {"ses": -1}}, "a weight is 0 or more"),
        ({"weights": {"ses": float("nan")}}, "a weight is 0 or more"),
        ({"weights": {"ses": "much"}}, "could not convert"),
        ({"route": ["pigeon"]}, "no provider 'pigeon'"),
        ({"patience": {"high": 1}}, "missing"),
        ({"weight": 1}, "has no 'weight'; there are"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        installed({"email": changes})
    assert str(refused.value).startswith("CLARION_CHANNELS: email")

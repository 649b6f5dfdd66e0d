"""What a busy machine is given: there a step that takes milliseconds elsewhere may take seconds."""

from functools import partial

import pytest

from throttle import opened

PATIENT = 60.0  # seconds: who is slow must not look like one who is gone


def patient_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes that open their gates from here on, Redis has this long; a killed one is missed at once as ever."""
    monkeypatch.setattr(opened, "connect", partial(opened.connect, timeout=PATIENT))
    for name in ("Gate", "Watch"):
        monkeypatch.setattr(opened, name, partial(getattr(opened, name), limit=PATIENT))

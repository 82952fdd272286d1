"""For tests that measure for real and are not about how busy this machine is: no lateness of its own invalidates a case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_inferbench import attempt
from pytest_inferbench.load.audit import Audit, Finding, findings


@pytest.fixture
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the client finds out about itself is noted, and spoils nothing."""

    def noted(audit: Audit, *, tightest_limit_ms: float | None) -> tuple[Finding, ...]:
        return tuple(replace(each, invalidates=False) for each in findings(audit, tightest_limit_ms=tightest_limit_ms))

    monkeypatch.setattr(attempt, "findings", noted)

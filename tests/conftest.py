"""What all tests share."""

from __future__ import annotations

import os
from importlib import import_module

import pytest
from hypothesis import settings

# A deadline is a wall-clock assertion, which a busy machine fails for no reason of the code's. CI judges a change, with the same
# examples each time; the search for new ones is that of everybody's own runs.
settings.register_profile("no-deadline", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("no-deadline")
# Arrow takes each of pandas' types once, and sessions inside of tests forget what they have imported.
import_module("pandas.core.arrays.arrow.extension_types")


@pytest.fixture(autouse=True, scope="session")
def state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Has what tests start noted down where nobody else's runs are; left set, for processes that outlive the session."""
    os.environ["INFERBENCH_STATE"] = str(tmp_path_factory.mktemp("state"))
    os.environ["INFERBENCH_STORE"] = "none"


@pytest.fixture(autouse=True)
def outside_of_continuous_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the sessions inside of tests print the same lines everywhere: pytest writes more where it sees these."""
    for name in ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)

"""Hooks that this plugin calls, so that other packages can add to it without touching it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_inferbench.engines.engine import Engine


@pytest.hookspec
def pytest_inferbench_engines(config: pytest.Config) -> Sequence[Engine]:
    """Return engines that suites may name; called once, when the first case runs."""
    raise NotImplementedError

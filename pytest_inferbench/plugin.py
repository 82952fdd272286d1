"""The hooks that pytest calls: each hands over to the module that knows."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, so that ``--strict-markers`` knows them and ``pytest --markers`` shows them."""
    config.addinivalue_line("markers", "inferbench(**suite): make the test a benchmark, one item a case of the matrix.")
    config.addinivalue_line(
        "markers", "case(**axes): set on every case, for exact selection: -m 'case(tp=2, hardware=\"h100\")'."
    )

"""The hooks that pytest calls: each hands over to the module that knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench import collection
from pytest_inferbench.cases.case import Case


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, so that ``--strict-markers`` knows them and ``pytest --markers`` shows them."""
    config.addinivalue_line("markers", "inferbench(**suite): make the test a benchmark, one item a case of the matrix.")
    config.addinivalue_line(
        "markers", "case(**axes): set on every case, for exact selection: -m 'case(tp=2, hardware=\"h100\")'."
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect suite files."""
    return collection.suite_file(file_path, parent)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Spread functions with the marker into cases."""
    collection.parametrize_cases(metafunc)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark cases with their axes before ``-m`` selects by them."""
    collection.mark_cases(items)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    """The benchmark case of this test."""
    return collection.required_case(request.node)

"""A history of its own for each test of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.records.history.example_runs import sqlite_in


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("INFERBENCH_STORE", raising=False)
    return tmp_path / "data"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A history that is not there yet."""
    return sqlite_in(tmp_path)

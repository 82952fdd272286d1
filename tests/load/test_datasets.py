"""Data sets of every format are opened by its name."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from pytest_inferbench.cases.case import DatasetFormat
from tests.load.datasets.opening import problem


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.mark.parametrize("form", get_args(DatasetFormat))
def test_what_is_not_there_is_named(file: Path, form: DatasetFormat) -> None:
    expected = {
        "hf": "/file: there is no such folder; for a file, name its format, such as format: jsonl",
        "sharegpt": "/file: there is no such file; put the data set there, or, for another system's configuration, name the one"
        " you have with --inferbench-override dataset=FILE, or do without with --inferbench-override 'traffic=D(100,100)'",
    }
    assert problem(file, form) == expected.get(form, "/file: cannot be read: No such file or directory")

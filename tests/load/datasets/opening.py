"""Opening data sets in tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Dataset, DatasetFormat
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.content import Message
from pytest_inferbench.load.datasets import Rows, Sample, open_rows


def opened(path: Path, form: DatasetFormat, **options: Any) -> Rows:
    return open_rows(Dataset(path=str(path), format=form, **options))


def samples(rows: Rows) -> list[Sample]:
    return [rows.sample(index) for index in range(len(rows))]


def user(text: str, **rest: Any) -> Sample:
    return Sample((Message("user", text),), **rest)


def problem(path: Path, form: DatasetFormat, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        opened(path, form, **options)
    return str(caught.value).replace(str(path.parent), "")

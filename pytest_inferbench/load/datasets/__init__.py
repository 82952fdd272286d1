"""
Requests that stand in files: one module a format, all read as data and never as code.

A new format is one new module with a function from a `Dataset` to its `Rows`, and one line in ``_FORMATS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_inferbench.cases.case import Dataset, DatasetFormat
from pytest_inferbench.load.datasets.hf import read_hf
from pytest_inferbench.load.datasets.jsonl import read_jsonl
from pytest_inferbench.load.datasets.lines import read_lines
from pytest_inferbench.load.datasets.rows import Rows, Sample
from pytest_inferbench.load.datasets.sharegpt import read_sharegpt

_FORMATS: Mapping[DatasetFormat, Callable[[Dataset], Rows]] = {
    "sharegpt": read_sharegpt,
    "jsonl": read_jsonl,
    "lines": read_lines,
    "hf": read_hf,
}

__all__ = ["Rows", "Sample", "open_rows"]


def open_rows(dataset: Dataset) -> Rows:
    """
    The rows of a data set; there is at least one.

    Raises:
        ConfigError: it is not there, broken, or empty; names file and line.
    """
    return _FORMATS[dataset.format](dataset)

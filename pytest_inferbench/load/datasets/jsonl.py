"""JSON objects, one a line."""

from __future__ import annotations

from typing import Any

import orjson

from pytest_inferbench.cases.case import Dataset
from pytest_inferbench.load.datasets.rows import Sample, sample_of
from pytest_inferbench.load.datasets.text_file import TextFile


class JsonLines:
    """
    The lines of a file, each of which is looked at once before any is used.

    Raises:
        ConfigError: one of them is no request.
    """

    def __init__(self, file: TextFile, dataset: Dataset) -> None:
        self._file = file
        self._dataset = dataset
        for index in range(len(file)):
            self.sample(index)

    def __len__(self) -> int:
        return len(self._file)

    def sample(self, index: int) -> Sample:
        """
        The object on the line as a request.

        Raises:
            ConfigError: it is none.
        """
        return sample_of(self._row(index), self._dataset, lambda problem: self._file.wrong(index, problem))

    def _row(self, index: int) -> dict[str, Any]:
        try:
            row = orjson.loads(self._file.text(index))
        except orjson.JSONDecodeError as error:
            raise self._file.wrong(index, f"is not JSON: {error.msg} at column {error.colno}") from error
        if not isinstance(row, dict):
            raise self._file.wrong(index, "is JSON, but no object with fields")
        return row


def read_jsonl(dataset: Dataset) -> JsonLines:
    """
    A file of JSON lines.

    Raises:
        ConfigError: it cannot be read, or a line of it is no request.
    """
    return JsonLines(TextFile(dataset.path), dataset)

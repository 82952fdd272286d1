"""
Folders that Hugging Face ``datasets`` saved with ``save_to_disk``, and folders of Parquet files.

Both are read through pyarrow: neither the ``datasets`` library nor a network is needed, and nothing of a folder is ever run.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from pyarrow import ipc, parquet

from pytest_inferbench.cases.case import Dataset
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.datasets.rows import Sample, sample_of

_STATE = "state.json"
_SPLITS = "dataset_dict.json"


class TableRows:
    """The rows of the tables of one folder, one after the other."""

    def __init__(self, tables: list[tuple[Path, Any]], dataset: Dataset) -> None:
        self._tables = tables
        self._dataset = dataset
        self._ends = list(accumulate(table.num_rows for _, table in tables))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def sample(self, index: int) -> Sample:
        """
        A row as a request.

        Raises:
            ConfigError: it is none; names file and row.
        """
        at = bisect_right(self._ends, index)
        path, table = self._tables[at]
        within = index - (self._ends[at - 1] if at else 0)
        row = table.slice(within, 1).to_pylist()[0]
        return sample_of(row, self._dataset, lambda problem: ConfigError(problem, file=str(path), field=f"row {within}"))


def read_hf(dataset: Dataset) -> TableRows:
    """
    A saved data set, or a folder of Parquet files.

    Raises:
        ConfigError: it is neither, is a set of several splits, is broken, or has no rows.
    """
    folder = Path(dataset.path)
    if not folder.is_dir():
        raise ConfigError("there is no such folder; for a file, name its format, such as format: jsonl", file=dataset.path)
    files = _files(folder)
    rows = TableRows([(path, _table(path)) for path in files], dataset)
    if not len(rows):
        raise ConfigError("has no rows", file=dataset.path)
    return rows


def _files(folder: Path) -> list[Path]:
    """The data files of a folder, in their order."""
    if (folder / _STATE).is_file():
        state = _json(folder / _STATE)
        named = [each.get("filename") for each in state.get("_data_files", ()) if isinstance(each, dict)]
        # A name only: a folder that somebody gave away must not point outside itself.
        return [folder / Path(str(name)).name for name in named if name]
    found = sorted(folder.glob("*.parquet")) or sorted((folder / "data").glob("*.parquet"))
    if found:
        return found
    if (folder / _SPLITS).is_file():
        splits = ", ".join(map(str, _json(folder / _SPLITS).get("splits", ()))) or "none"
        raise ConfigError(f"has several splits; give the path of one of them: {splits}", file=str(folder))
    raise ConfigError(f"is no data set: neither {_STATE} nor a Parquet file is in it", file=str(folder))


def _json(path: Path) -> dict[str, Any]:
    try:
        value = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(path)) from error
    if not isinstance(value, dict):
        raise ConfigError("is JSON, but no object", file=str(path))
    return value


def _table(path: Path) -> Any:
    """A file's rows; an Arrow file stays on disk and is mapped into memory."""
    try:
        if path.suffix == ".parquet":
            return parquet.read_table(path)
        with pa.memory_map(str(path)) as source:
            return ipc.open_stream(source).read_all()
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"cannot be read as a table: {str(error).splitlines()[0][:200]}", file=str(path)) from error

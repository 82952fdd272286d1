"""Files of other tools for tests of reading: those that are written here, and what to break in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_inferbench.records.export.exportable import Exportable
from pytest_inferbench.records.export.write import write_format
from pytest_inferbench.records.imports.foreign import ForeignResult
from pytest_inferbench.records.imports.registry import read_results
from tests.records.export.measured import exportable, uneven_traces


def written(folder: Path, name: str, case: Exportable | None = None) -> tuple[Path, ...]:
    """The files of a format, of the case whose figures are known by hand."""
    done = write_format(name, [case or exportable(uneven_traces())], folder=folder)
    assert done.troubles == ()
    return done.files


def read_back(folder: Path, name: str, case: Exportable | None = None) -> ForeignResult:
    """The only result in a format's files; of two that hold the same, the first."""
    first, *_ = written(folder, name, case)
    (found,) = read_results(first if first.suffix == ".json" and name not in ("genai-bench", "inference-perf") else first.parent)
    return found


def changed(path: Path, change: Callable[[Any], object]) -> Path:
    """The same file with something else in it."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return path

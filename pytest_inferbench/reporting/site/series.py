"""
The rows of a history as series: the same case, on the same machine, run after run.

Rule: what was simulated and what was measured, and figures of two machines, are never in one series.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.redaction import redact_text
from pytest_inferbench.reporting.figures import printable
from pytest_inferbench.reporting.site.figures import FIGURES

if TYPE_CHECKING:
    import pandas as pd

Values = NDArray[np.float64]

AXES = ("suite", "hardware", "engine", "model", "tp", "traffic", "cache", "api", "concurrency", "rate", "machine")
"""What cases are told apart and filtered by, beside their id."""
# Another one of these is another series: what `records.baselines` will not compare, as far as a history has such columns. The
# machine is the processor and its cores, since machines of a cloud have another name each time; its name where nothing else is
# known.
_IDENTITY = ("case", "suite", "hardware", "model", "traffic", "api", "machine", "client", "clock", "simulated")
_NEEDED = ("case", "run_id", "started_at", "verdict", "simulated")
_COUNTS = ("attempted", "completed", "failed", "timed_out", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of the history; ``started_at`` is UTC, as ``2026-11-22T16:24:25Z``; what is not known is empty."""

    id: str
    started_at: str
    commit: str
    branch: str
    dirty: bool
    host: str
    plugin_version: str
    cases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """
    The results of one case on one machine, the oldest first.

    ``runs`` are positions in `History.runs`; ``figures`` maps columns to as many values, NaN where there is none; columns without
    any value are left out. ``id`` stays the same as the history grows.
    """

    id: str
    case: str
    simulated: bool
    axes: dict[str, str]
    runs: tuple[int, ...]
    verdicts: tuple[str, ...]
    missed: tuple[str, ...]
    errors: tuple[str, ...]
    engines: tuple[str, ...]
    counts: dict[str, Values] = field(repr=False)
    figures: dict[str, Values] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """
    Runs, the oldest first, and the series through them.

    ``trunk`` is the branch that most runs are of: changes are searched among its runs only.
    """

    runs: tuple[Run, ...]
    series: tuple[Series, ...]
    trunk: str


def history_of(frame: pd.DataFrame, *, words: Sequence[str] = (), since: str = "", branch: str = "") -> History:
    """
    The series in a history, as `load_history` gives it: one row a case of a run.

    ``words`` must all be in a case's id; ``since`` is a date or time (UTC), and older runs are left out; with ``branch``, other
    branches' runs are.

    Raises:
        ConfigError: a column is missing, or nothing is left.
    """
    absent = [name for name in _NEEDED if name not in frame.columns]
    if absent:
        raise ConfigError(f"the history has no column {', '.join(absent)}; it is not one that load_history gives")
    chosen = _chosen(_dated(frame), words, since, branch)
    if not len(chosen):
        raise ConfigError(_nothing(len(frame), words, since, branch))
    runs, numbers = _runs(chosen)
    trunk = Counter(run.branch for run in runs).most_common(1)[0][0]
    return History(runs=runs, series=_every_series(chosen, numbers), trunk=trunk)


def _dated(frame: pd.DataFrame) -> pd.DataFrame:
    """With ``started_at`` as texts that sort and a machine, in the order of the runs and, within one, of the cases' ids."""
    stamps = frame["started_at"].map(_utc)
    machines = _texts(frame, "machine")
    known = np.where(machines == "", _texts(frame, "host"), machines)
    dated = frame.assign(started_at=stamps, machine=known)
    first = dated.groupby("run_id")["started_at"].transform("min")
    return dated.assign(_run_started=first).sort_values(["_run_started", "run_id", "case", "started_at"], kind="stable")


def _utc(stamp: Any) -> str:
    """ISO 8601 in UTC to the second; naive times are UTC already."""
    from datetime import UTC, datetime  # noqa: PLC0415

    try:
        at = stamp.to_pydatetime() if hasattr(stamp, "to_pydatetime") else datetime.fromisoformat(str(stamp))
    except ValueError as error:
        raise ConfigError(f"the history has a row that started at {stamp!r}, which is no time") from error
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _chosen(frame: pd.DataFrame, words: Sequence[str], since: str, branch: str) -> pd.DataFrame:
    if since:
        frame = frame[frame["_run_started"] >= since]
    if branch:
        frame = frame[_texts(frame, "branch") == branch]
    cases = frame["case"].astype(str).str.lower()
    for word in words:
        keep = cases.str.contains(word.lower(), regex=False)
        frame, cases = frame[keep], cases[keep]
    return frame


def _nothing(rows: int, words: Sequence[str], since: str, branch: str) -> str:
    if not rows:
        return "the history is empty: run pytest with a suite first, or name another database with --store"
    asked = [f"-k {' '.join(words)!r}"] if words else []
    asked += [f"--since {since}"] if since else []
    asked += [f"--branch {branch}"] if branch else []
    return f"none of the {rows:,} results in the history fits {' and '.join(asked)}; ask for less"


def _runs(frame: pd.DataFrame) -> tuple[tuple[Run, ...], NDArray[np.int64]]:
    """The runs in order, and the number of its run for each row."""
    ids = _texts(frame, "run_id")
    columns = {name: _texts(frame, name) for name in ("commit", "branch", "dirty", "host", "plugin_version")}
    started = frame["_run_started"].to_numpy()
    order = list(dict.fromkeys(ids))
    number_of = {run: number for number, run in enumerate(order)}
    numbers = np.array([number_of[run] for run in ids], dtype=np.int64)
    first = np.searchsorted(numbers, np.arange(len(order)))
    cases = np.bincount(numbers)
    runs = tuple(
        Run(
            id=ids[row],
            started_at=str(started[row]),
            commit=columns["commit"][row],
            branch=columns["branch"][row],
            dirty=_is_true(columns["dirty"][row]),
            host=columns["host"][row],
            plugin_version=columns["plugin_version"][row],
            cases=int(cases[number]),
        )
        for number, row in enumerate(first)
    )
    return runs, numbers


def _every_series(frame: pd.DataFrame, numbers: NDArray[np.int64]) -> tuple[Series, ...]:
    identities = list(zip(*(_texts(frame, name) for name in _IDENTITY), strict=True))
    rows_of: dict[tuple[str, ...], list[int]] = {}
    for row, identity in enumerate(identities):
        rows_of.setdefault(identity, []).append(row)
    columns = _Columns(frame)
    return tuple(_series(identity, np.array(rows), numbers, columns) for identity, rows in sorted(rows_of.items()))


class _Columns:
    """The columns of a frame, each read once."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.texts = {name: _texts(frame, name) for name in ("verdict", "missed", "error", "engine_version", *AXES)}
        self.numbers: dict[str, Values] = {
            name: np.asarray(frame[name].astype("float64"), dtype=np.float64)
            for name in (*_COUNTS, *(figure.column for figure in FIGURES))
            if name in frame.columns
        }


def _series(identity: tuple[str, ...], rows: NDArray[np.int64], numbers: NDArray[np.int64], columns: _Columns) -> Series:
    texts = {name: tuple(values[rows]) for name, values in columns.texts.items()}
    figures = {figure.column: columns.numbers[figure.column][rows] for figure in FIGURES if figure.column in columns.numbers}
    return Series(
        id=sha256("\0".join(identity).encode()).hexdigest()[:10],
        case=identity[0],
        simulated=_is_true(identity[_IDENTITY.index("simulated")]),
        axes={name: texts[name][-1] for name in AXES},
        runs=tuple(int(number) for number in numbers[rows]),
        verdicts=texts["verdict"],
        missed=texts["missed"],
        errors=texts["error"],
        engines=texts["engine_version"],
        counts={name: columns.numbers[name][rows] for name in _COUNTS if name in columns.numbers},
        figures={name: values for name, values in figures.items() if not np.isnan(values).all()},
    )


def _texts(frame: pd.DataFrame, name: str) -> NDArray[np.object_]:
    """A column as texts fit to be shown; empty where it has nothing, or is not there."""
    if name not in frame.columns:
        return np.full(len(frame), "", dtype=object)
    return _each_text(frame[name].tolist())


def _each_text(values: Iterable[Any]) -> NDArray[np.object_]:
    return np.array([_text(value) for value in values], dtype=object)


def _text(value: Any) -> str:
    # Asked by name: pandas is not imported for it, and its NA is neither equal to anything nor different from it.
    if value is None or type(value).__name__ in {"NAType", "NaTType"} or (isinstance(value, float) and isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return _shown(str(value))


@cache
def _shown(text: str) -> str:
    """Without secrets, escape sequences, and what UTF-8 has no bytes for."""
    return printable(redact_text(text)).encode("utf-8", "replace").decode()


def _is_true(text: str) -> bool:
    return text.lower() in {"true", "1"}

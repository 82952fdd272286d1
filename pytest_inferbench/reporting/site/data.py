"""
What the pages read: an index of everything, and files with the details of some cases or some runs.

A file is a script that hands one JSON value to the pages, so that they work from disk, where a page may not fetch. Its name ends
in a hash of its content: what has changed has another name, and a cache never mixes two states of a site.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pytest_inferbench.reporting.figures import printable
from pytest_inferbench.reporting.site.change_points import ALPHA
from pytest_inferbench.reporting.site.figures import COMPARED, FIGURES, HEADLINES
from pytest_inferbench.reporting.site.findings import Change, Findings, counted
from pytest_inferbench.reporting.site.series import AXES, History, Run, Series, Values

# A file of details holds about so many results; a single case or run may have more.
_RESULTS_A_FILE = 400
_SPARKLINE_RUNS = 40
_DIGITS = 6
_NUMBER_OF = {figure: number for number, figure in enumerate(FIGURES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """
    What a person says about the site.

    ``commit_url`` has ``{commit}`` where the commit goes, and is empty where commits are no links.
    """

    title: str = "History of results"
    commit_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteData:
    """The files by name, and which of them is the index."""

    index: str
    files: dict[str, bytes] = field(repr=False)


def site_data(history: History, findings: Findings, releases: Mapping[str, str], wording: Wording) -> SiteData:
    """The files of a site; ``releases`` maps commits to tags. The same history always makes the same bytes."""
    files: dict[str, bytes] = {}
    series_parts = _parts([len(series.runs) for series in history.series])
    run_parts = _parts([run.cases for run in history.runs])
    cases = [
        _add(files, f"cases/{part}", {str(number): _details(history.series[number]) for number in numbers})
        for part, numbers in enumerate(series_parts)
    ]
    results = _results(history)
    runs = [
        _add(files, f"runs/{part}", {str(number): results[number] for number in numbers})
        for part, numbers in enumerate(run_parts)
    ]
    index = {
        "title": printable(wording.title),
        "commit_url": wording.commit_url,
        "trunk": history.trunk,
        "alpha": ALPHA,
        "axes": AXES,
        "figures": [_figure(figure) for figure in FIGURES],
        "compared": [_NUMBER_OF[figure] for figure in COMPARED],
        "headlines": [_NUMBER_OF[figure] for figure in HEADLINES],
        "case_files": cases,
        "run_files": runs,
        "runs": _runs(history, releases, _part_of(run_parts)),
        "series": _every_series(history, findings, _part_of(series_parts)),
        "changes": [_change(change) for change in findings.changes],
    }
    return SiteData(index=_add(files, "index", index), files=files)


def _parts(sizes: list[int]) -> list[list[int]]:
    """Numbers of neighbours that share a file."""
    parts: list[list[int]] = []
    room = 0
    for number, size in enumerate(sizes):
        if not parts or size > room:
            parts.append([])
            room = _RESULTS_A_FILE
        parts[-1].append(number)
        room -= size
    return parts


def _part_of(parts: list[list[int]]) -> dict[int, int]:
    return {number: part for part, numbers in enumerate(parts) for number in numbers}


def _add(files: dict[str, bytes], key: str, value: Any) -> str:
    """Put a script that hands over ``value`` under ``key`` among the files; its name."""
    json = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).replace(b"<", b"\\u003c")
    content = b'inferbench.take("%s",%s);\n' % (key.encode(), json)
    name = f"data/{key.replace('/', '-')}-{sha256(content).hexdigest()[:12]}.js"
    files[name] = content
    return name


def _figure(figure: Any) -> dict[str, Any]:
    metric = figure.metric
    return {
        "column": figure.column,
        "metric": metric.name,
        "title": metric.title,
        "statistic": figure.statistic,
        "short": figure.short,
        "unit": metric.unit,
        "better": metric.better.value,
        "formula": metric.formula,
    }


def _runs(history: History, releases: Mapping[str, str], part_of: dict[int, int]) -> list[dict[str, Any]]:
    return [_run(run, releases.get(run.commit, ""), part_of[number]) for number, run in enumerate(history.runs)]


def _run(run: Run, release: str, part: int) -> dict[str, Any]:
    return {
        "id": run.id,
        "at": run.started_at,
        "commit": run.commit,
        "branch": run.branch,
        "dirty": run.dirty,
        "host": run.host,
        "version": run.plugin_version,
        "cases": run.cases,
        "release": printable(release),
        "file": part,
    }


def _every_series(history: History, findings: Findings, part_of: dict[int, int]) -> list[dict[str, Any]]:
    scatters = findings.scatters
    return [
        {
            "id": series.id,
            "case": series.case,
            "simulated": series.simulated,
            "axes": [series.axes[axis] for axis in AXES],
            "file": part_of[number],
            "results": len(series.runs),
            "last": series.runs[-1],
            "verdict": series.verdicts[-1],
            "missed": series.missed[-1] or series.errors[-1],
            "lines": [_sparkline(history, series, figure.column) for figure in HEADLINES],
            "scatter": [_rounded(np.array([scatters[number].get(figure.column, np.nan)]))[0] for figure in COMPARED],
        }
        for number, series in enumerate(history.series)
    ]


def _sparkline(history: History, series: Series, column: str) -> Values | None:
    """The figures of the newest results that can be believed; nothing where the newest result of all has none."""
    values = series.figures.get(column)
    if values is None:
        return None
    rows = np.flatnonzero(np.array(counted(history, series)) & np.isfinite(values))
    return _rounded(values[rows[-_SPARKLINE_RUNS:]])


def _change(change: Change) -> list[Any]:
    point = change.point
    numbers = [None if np.isnan(each) else each for each in _rounded(np.array([point.before, point.after, point.size])).tolist()]
    where = [change.series, _NUMBER_OF[change.figure], change.run_before, change.run_after]
    return [*where, *numbers, point.runs_before, point.runs_after, change.worse, change.engine_before, change.engine_after]


def _details(series: Series) -> dict[str, Any]:
    """Everything of a series; a column with the values of an earlier one is that one's name."""
    return {
        "runs": series.runs,
        "verdicts": series.verdicts,
        "missed": _sparse(series.missed),
        "errors": _sparse(series.errors),
        "engines": list(_since(series.engines)),
        "counts": _distinct({name: np.nan_to_num(values).astype(np.int64) for name, values in series.counts.items()}),
        "figures": _distinct({name: _rounded(values) for name, values in series.figures.items()}),
    }


def _sparse(texts: tuple[str, ...]) -> dict[str, str]:
    return {str(row): text for row, text in enumerate(texts) if text}


def _since(texts: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Each text and the row from which on it stands."""
    for row, text in enumerate(texts):
        if row == 0 or text != texts[row - 1]:
            yield row, text


def _distinct(columns: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    seen: dict[bytes, str] = {}
    return {
        name: values if (first := seen.setdefault(values.tobytes(), name)) == name else first for name, values in columns.items()
    }


def _results(history: History) -> list[dict[str, Any]]:
    """For each run the results of its cases, by series, as columns."""
    every_series = history.series
    runs = np.concatenate([np.array(series.runs) for series in every_series])
    order = np.argsort(runs, kind="stable")
    ends = np.cumsum(np.bincount(runs, minlength=len(history.runs)))[:-1]
    numbers = np.concatenate([np.full(len(series.runs), number) for number, series in enumerate(every_series)])
    verdicts = np.array([verdict for series in every_series for verdict in series.verdicts], dtype=object)
    figures = [
        np.split(_rounded(np.concatenate([_column(series, figure.column) for series in every_series]))[order], ends)
        for figure in COMPARED
    ]
    return [
        {"series": some, "verdicts": list(words), "figures": [column[run] for column in figures]}
        for run, (some, words) in enumerate(zip(np.split(numbers[order], ends), np.split(verdicts[order], ends), strict=True))
    ]


def _column(series: Series, column: str) -> Values:
    values = series.figures.get(column)
    return np.full(len(series.runs), np.nan) if values is None else values


def _rounded(values: Values) -> Values:
    """To six significant digits: more than any figure has, and half the bytes."""
    rounded = np.array(values, dtype=np.float64)
    usable = np.isfinite(rounded) & (rounded != 0) & (np.abs(rounded) < 10**_DIGITS) & (np.abs(rounded) > 1e-12)
    factors = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(np.abs(rounded[usable]))))
    rounded[usable] = np.rint(rounded[usable] * factors) / factors
    large = np.abs(rounded) >= 10**_DIGITS
    rounded[large] = np.rint(rounded[large])
    return rounded

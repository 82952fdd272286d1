"""
Baselines as files, and where they are found.

Rule: a file is made to be reviewed in a diff. Keys are sorted, a figure is one line, numbers have four significant digits, and
units stand in the names. What is read is checked field by field, and an error names file, line and field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from math import isfinite, nan
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.readers import Document, Place, document_of, dotted, read_text
from pytest_inferbench.errors import ConfigError, RecordError
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.metrics.summary import Counts
from pytest_inferbench.objectives.gates import Figure
from pytest_inferbench.objectives.tolerance import FIGURES, figure_of
from pytest_inferbench.records.baselines import Baseline, BaselineCase, Fingerprint, Measured, baseline_of
from pytest_inferbench.records.files import read_json, write_text, writing
from pytest_inferbench.records.manifest import MANIFEST_FILE
from pytest_inferbench.records.reader import read_run, read_traces
from pytest_inferbench.records.record import Record
from pytest_inferbench.records.results import RESULTS_JSON
from pytest_inferbench.records.run_directory import RUNS
from pytest_inferbench.records.writer import REQUESTS_FILE, SUMMARY_FILE
from pytest_inferbench.redaction import redact_text

SCHEMA_VERSION = 1
FOLDER = Path("reports", "baselines")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_FIELDS = ("cases", "name", "runs", "schema_version")
_CASE_FIELDS = ("counts", "figures", "fingerprint")
_COUNTS = tuple(each.name for each in fields(Counts))


def measured(run_dir: Path) -> tuple[Measured, ...]:
    """
    The cases of a run with their requests and the machine, as far as its folder holds them.

    Raises:
        RecordError: there is no case in it, or one cannot be read.
    """
    return measured_of(read_run(run_dir), run_dir)


def measured_of(records: Sequence[Record], run_dir: Path) -> tuple[Measured, ...]:
    """
    Records of a run with their requests and the machine, as far as its folder holds them.

    Raises:
        RecordError: one cannot be read.
    """
    return tuple(_measured(record, run_dir) for record in records)


def save(name: str, runs: Sequence[Path], *, root: Path) -> Path:
    """
    Write the cases of runs as the baseline ``name`` under ``root``, over the one that was there; runs of one case are repeats.

    Raises:
        ConfigError: the name is none.
        RecordError: a case has nothing to compare with (it broke, it is invalid, no request completed, its runs are not alike),
            or the file cannot be written; names it. Nothing is written then.
    """
    path = path_of(name, root)
    baseline = baseline_of([each for run in runs for each in measured(run_folder(run))], name=name)
    wrong = [f"{case.id}: {case.doubt}" for case in baseline.cases if case.doubt]
    if wrong:
        raise RecordError(f"{name} was not saved, since a baseline must be sound: {'; '.join(wrong)}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, baseline_text(baseline))
    return path


def path_of(name: str, root: Path) -> Path:
    """
    Where the baseline of a name lies.

    Raises:
        ConfigError: it cannot be a name.
    """
    if not _NAME.fullmatch(name) or name == "waivers":
        raise ConfigError(f"{name!r} cannot name a baseline; use letters, digits, '.', '_' and '-', such as main")
    return root / FOLDER / f"{name}.json"


def find(text: str, *, root: Path) -> Baseline:
    """
    The baseline that is meant: a name, a run's id, a run's folder (also one of imported results), or a file.

    A name is looked up in ``reports/baselines`` under ``root`` first, then as a run in ``reports/runs``; a path as it stands.

    Raises:
        ConfigError: there is none, or its file is wrong; says where it was looked for and what is there.
        RecordError: a run cannot be read.
    """
    places = [Path(text).expanduser()]
    if _NAME.fullmatch(text):
        places = [root / FOLDER / f"{text}.json", root / RUNS / text, *places]
    for place in places:
        if place.is_dir() or (place.is_file() and place.suffix != ".json") or place.name == RESULTS_JSON:
            return baseline_of(measured(run_folder(place)), name=text)
        if place.is_file():
            return read_baseline(place)
    raise ConfigError(f"there is no baseline {text}: looked in {', '.join(map(str, places))}; {_others(text, root)}")


def run_folder(path: Path) -> Path:
    """
    The folder of a run that a path leads to: itself, that of its ``results.json``, or where the text file ``latest`` points.

    Raises:
        ConfigError: it leads nowhere.
    """
    folder = path
    if path.is_file():
        folder = path.parent if path.suffix == ".json" else path.parent / read_text(path).strip()
    if not folder.is_dir():
        raise ConfigError(f"there is no run {path}; give the folder of a run, such as reports/latest")
    return folder


def baseline_text(baseline: Baseline) -> str:
    """The text of its file; the same baseline gives the same text."""
    cases = {case.id: _case_json(case) for case in baseline.cases}
    value = {"schema_version": SCHEMA_VERSION, "name": baseline.name, "runs": list(baseline.runs), "cases": cases}
    return _lines(value, "") + "\n"


def read_baseline(path: Path) -> Baseline:
    """
    The baseline of a file.

    Raises:
        ConfigError: it cannot be read, is of another schema version, or a field is missing, unknown or wrong; names the line.
    """
    text = read_text(path)
    if not text.strip():
        raise ConfigError("is empty; write it with inferbench baseline save", file=str(path), line=1)
    document = document_of(text, str(path), ".json")
    version = document.data.get("schema_version")
    if version != SCHEMA_VERSION:
        problem = f"is {version!r}, but this version of pytest-inferbench reads {SCHEMA_VERSION}; save the baseline again"
        raise _error(document, ("schema_version",), problem)
    _only(document, (), _FIELDS)
    runs = _list(document, ("runs",), str, "a run's id")
    cases = _object(document, ("cases",))
    return Baseline(name=path.stem, runs=tuple(runs), cases=tuple(_case(document, case_id) for case_id in cases))


def _measured(record: Record, run_dir: Path) -> Measured:
    folder = run_dir / record.folder
    # A record's folder is its own word: what leads out of the run is not followed.
    inside = bool(record.folder) and folder.resolve().is_relative_to(run_dir.resolve())
    if not inside or not (folder / SUMMARY_FILE).exists():
        return Measured(record=record)
    traces = _traces(folder) if (folder / REQUESTS_FILE).exists() else None
    manifest = read_json(folder / MANIFEST_FILE) if (folder / MANIFEST_FILE).exists() else {}
    found = manifest.get("environment") if isinstance(manifest, dict) else None
    return Measured(record=record, traces=traces, environment=found if isinstance(found, dict) else {})


def _traces(folder: Path) -> Traces:
    try:
        return read_traces(folder)
    except KeyError as error:
        # A column that came later: the library's own words name it.
        words = f"{folder / REQUESTS_FILE} was written by another version of pytest-inferbench ({error.args[0]}); measure again"
        raise RecordError(words) from error


def _others(text: str, root: Path) -> str:
    names = sorted(path.stem for path in (root / FOLDER).glob("*.json"))
    if not names:
        return "save one with inferbench baseline save NAME RUN"
    near = get_close_matches(text, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"baselines: {', '.join(names)}"


# --- writing ----------------------------------------------------------------------------------------------------------------


def _case_json(case: BaselineCase) -> dict[str, Any]:
    found = {each.name: getattr(case.fingerprint, each.name) for each in fields(Fingerprint)}
    return {
        "counts": {name: [getattr(each, name) for each in case.counts] for name in _COUNTS},
        "figures": {_column(name): _figure_json(figure) for name, figure in case.figures.items()},
        "fingerprint": {name: redact_text(value) for name, value in found.items() if value is not None},
    }


def _figure_json(figure: Figure) -> dict[str, Any]:
    found: dict[str, Any] = {"runs": [_rounded(value, 4) for value in figure.runs]}
    if any(each is not None for each in figure.within):
        found["within_percent"] = [None if each is None else _rounded(each * 100, 2) for each in figure.within]
    return found


def _rounded(value: float, digits: int) -> float | None:
    return float(f"{value:.{digits}g}") if isfinite(value) else None


def _column(name: str) -> str:
    metric, statistic = figure_of(name)
    return METRICS[metric].column + (f"_{statistic}" if statistic else "")


def _lines(value: Any, indent: str) -> str:
    """JSON with sorted keys, in which an object of objects has a line a field, and everything else is on one."""
    if not isinstance(value, Mapping) or not value or ("runs" in value and "cases" not in value):
        return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    inner = indent + "  "
    parts = [f"{inner}{json.dumps(key, ensure_ascii=False)}: {_lines(value[key], inner)}" for key in sorted(value)]
    return "{\n" + ",\n".join(parts) + f"\n{indent}}}"


# --- reading ----------------------------------------------------------------------------------------------------------------


def _case(document: Document, case_id: str) -> BaselineCase:
    place = ("cases", case_id)
    _object(document, place)
    _only(document, place, _CASE_FIELDS)
    counts = _counts(document, (*place, "counts"))
    columns = {_column(name): name for name in FIGURES}
    figures = {}
    for column in _object(document, (*place, "figures")):
        where = (*place, "figures", column)
        if column not in columns:
            near = get_close_matches(column, columns, n=1)
            raise _error(document, where, "is not a figure" + (f"; did you mean {near[0]}?" if near else ""))
        figures[columns[column]] = _figure(document, where, len(counts))
    print_place = (*place, "fingerprint")
    _object(document, print_place)
    names = tuple(each.name for each in fields(Fingerprint))
    _only(document, print_place, names, needed=False)
    found = {name: _text(document, (*print_place, name)) for name in _at(document, print_place)}
    return BaselineCase(id=case_id, fingerprint=Fingerprint(**found), counts=counts, figures=figures)


def _counts(document: Document, place: Place) -> tuple[Counts, ...]:
    _object(document, place)
    _only(document, place, _COUNTS)
    columns = {name: _list(document, (*place, name), int, "a whole number") for name in _COUNTS}
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1 or lengths == {0}:
        raise _error(document, place, "must have one number a run in each field")
    return tuple(Counts(**{name: columns[name][i] for name in _COUNTS}) for i in range(lengths.pop()))


def _figure(document: Document, place: Place, runs: int) -> Figure:
    value = _object(document, place)
    _only(document, place, ("runs", "within_percent"), needed=False)
    values = _numbers(document, (*place, "runs"), runs)
    within = _numbers(document, (*place, "within_percent"), runs) if "within_percent" in value else [None] * runs
    return Figure(
        runs=tuple(nan if each is None else each for each in values),
        within=tuple(None if each is None else each / 100 for each in within),
    )


def _numbers(document: Document, place: Place, runs: int) -> list[float | None]:
    found = _at(document, place)
    right = isinstance(found, list) and len(found) == runs
    if not right or not all(each is None or (type(each) in (int, float) and isfinite(each) and each >= 0) for each in found):
        raise _error(document, place, f"must be a list of {runs} numbers of at least 0, one a run (null: not measured)")
    return [None if each is None else float(each) for each in found]


def _at(document: Document, place: Place) -> Any:
    value: Any = document.data
    for part in place:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _object(document: Document, place: Place) -> dict[str, Any]:
    value = _at(document, place)
    if not isinstance(value, dict):
        raise _error(document, place, "is missing" if value is None else "must be an object")
    return value


def _only(document: Document, place: Place, names: Sequence[str], *, needed: bool = True) -> None:
    value = _at(document, place) if place else document.data
    for name in value:
        if name not in names:
            raise _error(document, (*place, name), f"is not a field here; fields: {', '.join(names)}")
    for name in names if needed else ():
        if name not in value:
            raise _error(document, (*place, name), "is missing")


def _list(document: Document, place: Place, kind: type, what: str) -> list[Any]:
    value = _at(document, place)
    if not isinstance(value, list) or not all(type(each) is kind for each in value):
        raise _error(document, place, f"must be a list, each {what}")
    return value


def _text(document: Document, place: Place) -> str:
    value = _at(document, place)
    if not isinstance(value, str):
        raise _error(document, place, "must be text")
    return value


def _error(document: Document, place: Place, problem: str) -> ConfigError:
    return ConfigError(problem, file=document.file, line=document.line_of(place), field=dotted(place))

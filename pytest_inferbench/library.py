"""
Runs and the history of runs as pandas frames, for notebooks and programs: `load_run` and `load_history`.

Rule: every column is documented with its unit in ``docs/library.md``, and a test holds it to that. Frames of requests are large,
so they are read when somebody asks for them. Importing this module imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_inferbench.errors import ConfigError, RecordError

if TYPE_CHECKING:
    import pandas as pd

    from pytest_inferbench.records.record import Record

_OF_CASE = ("case", "folder")
_OF_OBJECTIVE = ("metric", "statistic", "operator", "limit")
TELEMETRY_COLUMNS = (*_OF_CASE, "timestamp_ns", "source", "name", "labels", "value")
_TELEMETRY_TYPES = {name: {"timestamp_ns": "Int64", "value": "float64"}.get(name, "string") for name in TELEMETRY_COLUMNS}
_NO_READINGS = frozenset({"timestamp_ns", "gpu", "throttle_reasons", "simulated"})


def load_run(path: str | Path) -> LoadedRun:
    """
    A run, or one case of it, as pandas frames.

    Args:
        path: the folder of a run (measured, fetched or imported), ``reports/latest``, or the folder of a case.

    Raises:
        ConfigError: it leads nowhere.
        RecordError: there is no result in it, or one cannot be read.
    """
    from pytest_inferbench.records.baseline_files import run_folder  # noqa: PLC0415 - NumPy comes with it
    from pytest_inferbench.records.reader import read_record, read_run  # noqa: PLC0415 - as above
    from pytest_inferbench.records.writer import SUMMARY_FILE  # noqa: PLC0415 - as above

    folder = run_folder(Path(path).expanduser())
    if (folder / SUMMARY_FILE).is_file():
        record = read_record(folder)
        return LoadedRun(path=folder, run_id=record.run_id, parts=((record, folder),))
    records = read_run(folder)
    parts = tuple((record, _folder_of(record, folder)) for record in records)
    return LoadedRun(path=folder, run_id=records[0].run_id if records else folder.name, parts=parts)


def load_history(url: str | None = None) -> pd.DataFrame:
    """
    The history of runs, one row a case of a run: the columns of ``results.csv``, and what each run was made of.

    Args:
        url: of the database; None: the one that runs are written to where nobody says.

    Raises:
        InferbenchError: there is no such database, or it cannot be read.
    """
    from pytest_inferbench.records.history.frames import load_history as load  # noqa: PLC0415 - SQLAlchemy comes with it

    return load(url)


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedRun:
    """
    One run: its frames, each read once, when it is first asked for.

    ``path`` is the folder it was read from; ``parts`` are its records, each with the folder of its case (None where there is
    none, as in a baseline of results alone).
    """

    path: Path
    run_id: str
    parts: tuple[tuple[Record, Path | None], ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """The records, as the rest of the package knows them."""
        return tuple(record for record, _ in self.parts)

    @cached_property
    def cases(self) -> pd.DataFrame:
        """One row a case: the columns of ``results.csv``, with types; ``attrs["units"]`` has the unit of each."""
        from pytest_inferbench.records.results import results_frame  # noqa: PLC0415 - pandas comes with it

        return results_frame(self.records)

    @cached_property
    def judgements(self) -> pd.DataFrame:
        """One row an objective of a case: limit, actual value, and what was judged."""
        return _judgements(self.records)

    @cached_property
    def requests(self) -> pd.DataFrame:
        """One row a measured request of any case, without the events of its answer; see `requests_of`."""
        import pandas as pd  # noqa: PLC0415 - heavy

        frames = [_requests(record, folder, events=False) for record, folder in self.parts]
        return pd.concat(frames or [_no_requests()], ignore_index=True)

    @cached_property
    def telemetry(self) -> pd.DataFrame:
        """One row a reading of a GPU or of a metric of the server, of every case."""
        import pandas as pd  # noqa: PLC0415 - heavy

        frames = [each for record, folder in self.parts for each in _telemetry(record, folder)]
        none = pd.DataFrame(columns=list(TELEMETRY_COLUMNS)).astype(_TELEMETRY_TYPES)
        return pd.concat(frames or [none], ignore_index=True)

    def requests_of(self, case: str, *, events: bool = False) -> pd.DataFrame:
        """
        The requests of one case, given by its id or its folder's name.

        Args:
            case: such as ``run.cases["folder"][0]``; where several measurements have the id, the name of the folder.
            events: with the lists ``event_ns`` and ``event_tokens``: when each piece of the answer came, and its tokens.

        Raises:
            ConfigError: no case, or more than one, is called so.
            RecordError: its requests cannot be read.
        """
        found = [part for part in self.parts if part[0].folder == case]
        found = found or [part for part in self.parts if part[0].case.id == case]
        if len(found) != 1:
            names = ", ".join(record.folder for record, _ in (found or self.parts)[:5])
            words = "several cases have the id" if found else "no case has the id or folder"
            raise ConfigError(f"{words} {case!r} in run {self.run_id}; folders: {names}")
        return _requests(*found[0], events=events)


def request_dtypes(*, events: bool) -> dict[str, str]:
    """The columns of a frame of requests and their pandas types, in order; ``object`` is a list in each row."""
    from pytest_inferbench.records.columns import EVENT_COLUMNS, REQUEST_COLUMNS  # noqa: PLC0415 - keeps the import light

    found = dict.fromkeys(_OF_CASE, "string")
    for column in REQUEST_COLUMNS:
        text = column.unit == "text"
        found[column.name] = "string" if text else "float64" if column.name.endswith("_time") else "Int64"
    return found | (dict.fromkeys((column.name for column in EVENT_COLUMNS), "object") if events else {})


def _folder_of(record: Record, run_dir: Path) -> Path | None:
    """A record's folder is its own word: what leads out of the run is not followed."""
    folder = run_dir / record.folder
    inside = bool(record.folder) and folder.resolve().is_relative_to(run_dir.resolve())
    return folder if inside and folder.is_dir() else None


def _no_requests() -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - heavy

    types = request_dtypes(events=False)
    return pd.DataFrame(columns=list(types)).astype(types)


def _requests(record: Record, folder: Path | None, *, events: bool) -> pd.DataFrame:
    from pytest_inferbench.records.columns import EVENT_COLUMNS, REQUEST_COLUMNS  # noqa: PLC0415 - keeps the import light
    from pytest_inferbench.records.writer import REQUESTS_FILE  # noqa: PLC0415 - NumPy comes with it

    types = request_dtypes(events=events)
    if folder is None or not (folder / REQUESTS_FILE).is_file():
        return _no_requests().reindex(columns=list(types)).astype(types)
    units = {column.name: column.unit for column in (*REQUEST_COLUMNS, *EVENT_COLUMNS)}
    frame = _parquet(folder / REQUESTS_FILE, [name for name in types if name not in _OF_CASE])
    frame = frame.assign(case=record.case.id, folder=record.folder).reindex(columns=list(types)).astype(types)
    frame.attrs = {"units": dict.fromkeys(_OF_CASE, "text") | {name: units[name] for name in types if name in units}}
    return frame


def _parquet(path: Path, columns: list[str]) -> pd.DataFrame:
    """Some columns of a file; one that a former version did not write is missing in every row."""
    import pandas as pd  # noqa: PLC0415 - heavy

    try:
        # Nullable types: a whole number of nanoseconds stays one beside a missing one.
        return pd.read_parquet(path, columns=columns, dtype_backend="numpy_nullable")
    except (OSError, ValueError, KeyError):
        try:
            return pd.read_parquet(path, dtype_backend="numpy_nullable").reindex(columns=columns)
        except (OSError, ValueError) as error:
            raise RecordError(f"{path} could not be read: {error}") from error


def _judgements(records: tuple[Record, ...]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - heavy

    from pytest_inferbench.objectives.verdict import Judgement  # noqa: PLC0415 - keeps the import light

    own = [field.name for field in fields(Judgement) if field.name != "objective"]
    rows = [
        {
            "case": record.case.id,
            "folder": record.folder,
            "objective": each.objective.text,
            **{name: getattr(each.objective, name) for name in _OF_OBJECTIVE},
            **{name: _plain(getattr(each, name)) for name in own},
        }
        for record in records
        for each in record.verdict.judgements
    ]
    names = [*_OF_CASE, "objective", *_OF_OBJECTIVE, *own]
    numbers = {"limit", *(field.name for field in fields(Judgement) if field.type in {"float", float})}
    return pd.DataFrame(rows, columns=names).astype({name: "float64" if name in numbers else "string" for name in names})


def _plain(value: Any) -> Any:
    return value.value if hasattr(value, "value") else value


def _telemetry(record: Record, folder: Path | None) -> Iterator[pd.DataFrame]:
    from pytest_inferbench.records.telemetry import GPU_FILE, SERVER_FILE  # noqa: PLC0415 - pyarrow comes with it

    if folder is None:
        return
    if (folder / SERVER_FILE).is_file():
        server = _parquet(folder / SERVER_FILE, ["timestamp_ns", "name", "labels", "value"])
        yield _of_case(server.assign(source="server"), record)
    if (folder / GPU_FILE).is_file():
        yield _of_case(_gpu_readings(folder / GPU_FILE), record)


def _of_case(frame: pd.DataFrame, record: Record) -> pd.DataFrame:
    placed = frame.assign(case=record.case.id, folder=record.folder)
    return placed.reindex(columns=list(TELEMETRY_COLUMNS)).astype(_TELEMETRY_TYPES)


def _gpu_readings(path: Path) -> pd.DataFrame:
    """A row a reading and value; what the GPU did not say has none."""
    import pandas as pd  # noqa: PLC0415 - heavy

    try:
        wide = pd.read_csv(path, dtype_backend="numpy_nullable")
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} could not be read: {error}") from error
    names = [name for name in wide.columns if name not in _NO_READINGS]
    long = wide.melt(id_vars=["timestamp_ns", "gpu"], value_vars=names, var_name="name").dropna(subset="value")
    labels = [f'{{"gpu": "{gpu}"}}' for gpu in long["gpu"]]
    return long.assign(source="gpu", labels=labels)

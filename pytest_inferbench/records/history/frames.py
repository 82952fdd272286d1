"""The history as a table for pandas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.history.database import columns_of, reading
from pytest_inferbench.records.history.place import store_url
from pytest_inferbench.records.history.rows import TEXTS, figure_columns, other_columns
from pytest_inferbench.records.history.schema import (
    AXES_NUMBERS,
    AXES_TEXTS,
    AXES_WHOLE,
    CONDITIONS,
    CONDITIONS_NAMES,
    RESULTS,
    RUNS,
    SERIES,
    figures_table,
)
from pytest_inferbench.records.results import column_dtypes, column_names, column_units

if TYPE_CHECKING:
    import pandas as pd

RUN_COLUMNS = ("commit", "branch", "dirty", "host", "plugin_version")
"""What a row says of its run, after the columns of ``results.csv``."""
CONDITION_COLUMNS = tuple(
    name for name in CONDITIONS_NAMES if name not in {*column_names(), "tensor_parallel", "load"}
)  # those that stand in no other column
_KINDS = {"dirty": "boolean"}
_UNITS = {"dirty": "true or false"}
_AT_ONCE = 5_000


def load_history(url: str | None = None) -> pd.DataFrame:
    """
    The history as a pandas frame: one row for each case of each run, oldest first.

    Columns are those of ``results.csv``, in its order and its units, then `RUN_COLUMNS` and `CONDITION_COLUMNS`;
    docs/history.md describes each. Types are those of `results.column_dtypes`; what is missing is NA or NaN. ``attrs["units"]``
    has the unit of each column.

    Args:
        url: the database; without it ``INFERBENCH_STORE``, or the file in the user's data folder.

    Raises:
        ConfigError: the URL is wrong, says ``none``, or its driver is missing.
        RecordError: there is no history yet, it cannot be reached, or a newer version has written it.
    """
    import pandas as pd  # noqa: PLC0415 - seldom needed, and large

    place = store_url(url)
    if place is None:
        raise RecordError("the history is switched off (none); give the URL of a database")
    with reading(place) as connection:
        blocks = [_typed(block) for block in _blocks(connection)]
    frame = pd.concat(blocks, ignore_index=True) if blocks else _typed(pd.DataFrame(columns=list(_names()), dtype=object))
    frame.attrs = {"units": column_units() | dict.fromkeys((*RUN_COLUMNS, *CONDITION_COLUMNS), "text") | _UNITS}
    return frame


def _names() -> tuple[str, ...]:
    return (*column_names(), *RUN_COLUMNS, *CONDITION_COLUMNS)


def _blocks(connection: sa.Connection) -> Iterator[pd.DataFrame]:
    import pandas as pd  # noqa: PLC0415 - as above

    found = connection.execution_options(stream_results=True).execute(_select(connection))
    names = list(found.keys())
    for rows in found.partitions(_AT_ONCE):
        frame = pd.DataFrame.from_records([tuple(row) for row in rows], columns=names)
        for name in other_columns():
            frame[name] = [None if more is None else json.loads(more).get(name) for more in frame["more"]]
        yield frame.reindex(columns=list(_names()))


def _select(connection: sa.Connection) -> sa.Select[Any]:
    figures = figures_table(columns_of(connection))
    tables = RESULTS.join(RUNS, RUNS.c.id == RESULTS.c.run).join(SERIES, SERIES.c.id == RESULTS.c.series)
    tables = tables.join(CONDITIONS, CONDITIONS.c.id == RESULTS.c.conditions)
    tables = tables.outerjoin(figures, figures.c.result_id == RESULTS.c.id)
    columns = [
        *(RESULTS.c[name] for name in (*TEXTS, "more")),
        *(SERIES.c[name] for name in (*AXES_TEXTS, *AXES_WHOLE, *AXES_NUMBERS, "simulated")),
        *(RUNS.c[name] for name in ("run_id", *RUN_COLUMNS) if name != "commit"),
        *(CONDITIONS.c[name] for name in ("engine_version", *CONDITION_COLUMNS)),
        *(figures.c[name] for name in figure_columns() if name in figures.c),
        SERIES.c.case_id.label("case"),
        RUNS.c.commit_hash.label("commit"),
        RESULTS.c.started_us.label("started_at"),
    ]
    return sa.select(*columns).select_from(tables).order_by(RESULTS.c.started_us, RESULTS.c.id)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Each column with its type, whatever the rows of it happen to hold."""
    import pandas as pd  # noqa: PLC0415 - as above

    kinds: dict[str, Any] = dict.fromkeys((*RUN_COLUMNS, *CONDITION_COLUMNS), "string") | _KINDS | column_dtypes()
    instants = pd.to_datetime(frame["started_at"], unit="us", utc=True)
    return frame.assign(started_at=instants).astype(kinds)

"""The history as a table for pandas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.history.database import columns_of, reading
from pytest_inferbench.records.history.place import store_url
from pytest_inferbench.records.history.rows import figure_columns
from pytest_inferbench.records.history.schema import (
    AXES_NUMBERS,
    AXES_TEXTS,
    CONDITIONS,
    CONDITIONS_NAMES,
    RESULTS,
    RUNS,
    SERIES,
    figures_table,
)
from pytest_inferbench.records.results import column_names

if TYPE_CHECKING:
    import pandas as pd

RUN_COLUMNS = ("commit", "branch", "dirty", "host", "plugin_version")
"""What a row says of its run, after the columns of ``results.csv``."""
CONDITION_COLUMNS = tuple(
    name for name in CONDITIONS_NAMES if name not in {*column_names(), "tensor_parallel", "load"}
)  # those that stand in no other column
_AT_ONCE = 5_000
_TEXTS = (
    "node_id", "case", *AXES_TEXTS, "verdict", "missed", "reasons", "engine_version", "error", "folder", "run_id",
    "commit", "branch", "host", "plugin_version", *CONDITION_COLUMNS,
)  # fmt: skip
_WHOLE = ("tp", "concurrency")


def load_history(url: str | None = None) -> pd.DataFrame:
    """
    The history as a pandas frame: one row for each case of each run, oldest first.

    Columns are those of ``results.csv``, in its order and its units, then `RUN_COLUMNS` and `CONDITION_COLUMNS`;
    docs/history.md describes each. ``started_at`` is an instant in UTC, ``simulated`` and ``dirty`` are booleans, ``tp`` and
    ``concurrency`` whole numbers, figures float64, and everything else is text; what is missing is NA or NaN.

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
    if not blocks:
        return _typed(pd.DataFrame(columns=list(_names()), dtype=object))
    return pd.concat(blocks, ignore_index=True)


def _names() -> tuple[str, ...]:
    return (*column_names(), *RUN_COLUMNS, *CONDITION_COLUMNS)


def _blocks(connection: sa.Connection) -> Iterator[pd.DataFrame]:
    import pandas as pd  # noqa: PLC0415 - as above

    found = connection.execution_options(stream_results=True).execute(_select(connection))
    names = list(found.keys())
    for rows in found.partitions(_AT_ONCE):
        yield pd.DataFrame.from_records([tuple(row) for row in rows], columns=names).reindex(columns=list(_names()))


def _select(connection: sa.Connection) -> sa.Select[Any]:
    figures = figures_table(columns_of(connection))
    wanted = [figures.c[name] for name in figure_columns() if name in figures.c]
    tables = RESULTS.join(RUNS, RUNS.c.id == RESULTS.c.run).join(SERIES, SERIES.c.id == RESULTS.c.series)
    tables = tables.join(CONDITIONS, CONDITIONS.c.id == RESULTS.c.conditions)
    tables = tables.outerjoin(figures, figures.c.result_id == RESULTS.c.id)
    texts = [RESULTS.c[name] for name in ("node_id", "folder", "verdict", "missed", "reasons", "error", "started_us")]
    axes = [SERIES.c[name] for name in (*AXES_TEXTS, *_WHOLE, *AXES_NUMBERS, "simulated")]
    run = [RUNS.c[name] for name in ("run_id", "branch", "dirty", "host", "plugin_version")]
    conditions = [CONDITIONS.c[name] for name in ("engine_version", *CONDITION_COLUMNS)]
    renamed = [SERIES.c.case_id.label("case"), RUNS.c.commit_hash.label("commit"), RESULTS.c.started_us.label("started_at")]
    columns = [*texts[:-1], *axes, *run, *conditions, *renamed, *wanted]
    return sa.select(*columns).select_from(tables).order_by(RESULTS.c.started_us, RESULTS.c.id)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Each column with its type, whatever the rows of it happen to hold."""
    import pandas as pd  # noqa: PLC0415 - as above

    kinds: dict[str, Any] = dict.fromkeys((*AXES_NUMBERS, *figure_columns()), "float64")
    kinds |= dict.fromkeys(_WHOLE, "Int64") | dict.fromkeys(_TEXTS, "string") | {"simulated": "bool", "dirty": "boolean"}
    typed = frame.astype({name: kind for name, kind in kinds.items() if name in frame})
    typed["started_at"] = pd.to_datetime(frame["started_at"], unit="us", utc=True).astype("datetime64[us, UTC]")
    return typed

"""
What is asked of the history, as people write it: figures, filters, a time.

Rule: what is written wrong is an error that names what would be right; nothing is ever matched by accident.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from math import isfinite
from typing import Any

import sqlalchemy as sa

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.metrics.metric import Better, Metric
from pytest_inferbench.metrics.registry import LATENCIES, SCALARS
from pytest_inferbench.objectives.tolerance import STATISTICS
from pytest_inferbench.records.history.rows import figure_columns, microseconds
from pytest_inferbench.records.history.schema import (
    AXES_NUMBERS,
    AXES_TEXTS,
    AXES_WHOLE,
    CONDITIONS,
    RESULTS,
    RUNS,
    SERIES,
)
from pytest_inferbench.records.results import column_units

_AGO = re.compile(r"(\d{1,6})\s*(min|h|d|w)")
_AGO_UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_YES_NO = {"true": True, "yes": True, "false": False, "no": False}
_NOTHING = "none"
_SHOWN_MAX = 10
NO_RUN = "the history holds no run yet: run a suite, or bring runs in with inferbench history import RUN"
_FIELDS: dict[str, sa.Column[Any]] = {
    "case": SERIES.c.case_id,
    **{name: SERIES.c[name] for name in (*AXES_TEXTS, *AXES_WHOLE, *AXES_NUMBERS, "simulated")},
    "verdict": RESULTS.c.verdict,
    "run_id": RUNS.c.run_id,
    "commit": RUNS.c.commit_hash,
    **{name: RUNS.c[name] for name in ("branch", "dirty", "host", "plugin_version")},
    **{
        name: CONDITIONS.c[name]
        for name in ("machine", "client", "clock", "driver", "engine_version", "image", "image_digest", "revision")
    },
}
_KEYS = {SERIES: RESULTS.c.series, RUNS: RESULTS.c.run, CONDITIONS: RESULTS.c.conditions}


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureColumn:
    """
    A figure that is asked for.

    ``column`` is its column in ``results.csv``, ``name`` what objectives call it (``ttft_p99``), or its column where they do not;
    ``smaller_is_better`` is None where neither direction is.
    """

    name: str
    column: str
    unit: str
    smaller_is_better: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """
    Which results are meant.

    ``where`` are (field, value) pairs that all hold; ``words`` are all in the case's id; ``since_us`` is in microseconds since
    the epoch.
    """

    where: tuple[tuple[str, str], ...] = ()
    words: tuple[str, ...] = ()
    since_us: int | None = None

    def clauses(self) -> list[sa.ColumnElement[bool]]:
        """What must hold of a row of results; what results share is looked up first, and there is little of it."""
        found: list[sa.ColumnElement[bool]] = []
        by_table: dict[sa.Table, list[sa.ColumnElement[bool]]] = {}
        for field, value in self.where:
            column = _FIELDS[field]
            table = column.table
            (found if table is RESULTS else by_table.setdefault(table, [])).append(_matches(column, field, value))
        for word in self.words:
            by_table.setdefault(SERIES, []).append(sa.func.lower(SERIES.c.case_id).contains(word.lower(), autoescape=True))
        for table, conditions in by_table.items():
            found.append(_KEYS[table].in_(sa.select(table.c.id).where(*conditions)))
        if self.since_us is not None:
            found.append(RESULTS.c.started_us >= self.since_us)
        return found

    @property
    def text(self) -> str:
        """As it was asked for, for messages."""
        parts = [f"--where {field}={value}" for field, value in self.where]
        parts += [f"-k {' '.join(self.words)!r}"] if self.words else []
        return " ".join([*parts, *(["--since"] if self.since_us is not None else [])])


def parse_filter(where: Sequence[str], *, words: str, since: str | None, branch: str | None, now: datetime) -> Filter:
    """
    Read what options of the commands say.

    Raises:
        ConfigError: a field is none, a value cannot be one of its field, or the time is none.
    """
    pairs = [_pair(each) for each in where]
    if branch is not None:
        pairs.append(("branch", branch))
    since_us = None if since is None else microseconds(_instant(since, now))
    return Filter(where=tuple(pairs), words=tuple(words.split()), since_us=since_us)


def why_nothing(connection: sa.Connection, filter_: Filter) -> str:
    """Why no result is meant, in a sentence that says what there is."""
    if not connection.execute(sa.select(sa.exists().select_from(RUNS))).scalar():
        return NO_RUN
    for field, value in filter_.where:
        if not _any(connection, Filter(where=((field, value),))):
            return f"no result has {field}={value}; there are: {_values(connection, field)}"
    if not _any(connection, Filter(words=filter_.words)):
        return f"no case has {' and '.join(map(repr, filter_.words))} in its id; inferbench history show latest shows some"
    return f"no result matches {filter_.text or 'this'}; leave a part of it out"


def _any(connection: sa.Connection, filter_: Filter) -> bool:
    return connection.execute(sa.select(RESULTS.c.id).where(*filter_.clauses()).limit(1)).first() is not None


def _values(connection: sa.Connection, field: str) -> str:
    column = _FIELDS[field]
    found = connection.execute(sa.select(column).distinct().order_by(column).limit(_SHOWN_MAX + 1)).scalars().all()
    shown = [_NOTHING if value is None else str(value) for value in found[:_SHOWN_MAX]]
    return ", ".join([*shown, *(["..."] if len(found) > _SHOWN_MAX else [])])


def figure_column(name: str) -> FigureColumn:
    """
    The figure of a name: as objectives write it (``ttft_p99``), or a column of ``results.csv`` (``ttft_ms_p99``).

    Raises:
        ConfigError: there is none; names the nearest.
    """
    known = {each.name: each for each in _figures()}
    by_column = {each.column: each for each in known.values()}
    found = known.get(name) or by_column.get(name)
    if found is None:
        near = get_close_matches(name.lower(), [*known, *by_column], n=3, cutoff=0.5)
        advice = f"did you mean {' or '.join(near)}?" if near else "such as ttft_p99, tpot_p50, output_throughput or wall_s"
        raise ConfigError(f"{name!r} is no figure of the history; {advice}")
    return found


def _figures() -> list[FigureColumn]:
    named: dict[str, tuple[str, Metric]] = {each.column: (each.name, each) for each in SCALARS}
    for each in LATENCIES:
        named |= {f"{each.column}_{statistic}": (f"{each.name}_{statistic}", each) for statistic in STATISTICS}
    units = column_units()
    found = []
    for column in figure_columns():
        name, metric = named.get(column, (column, None))
        better = None if metric is None else metric.better is Better.SMALLER
        found.append(
            FigureColumn(name=name, column=column, unit=metric.unit if metric else units[column], smaller_is_better=better)
        )
    return found


def _pair(text: str) -> tuple[str, str]:
    field, equals, value = text.partition("=")
    field, value = field.strip(), value.strip()
    if not equals or not value:
        raise ConfigError(f"{text!r} is no filter; write a field and a value, such as model=llama* or tp=8", file="--where")
    if field not in _FIELDS:
        near = get_close_matches(field.lower(), _FIELDS, n=2, cutoff=0.5)
        advice = f"did you mean {' or '.join(near)}?" if near else f"fields: {', '.join(_FIELDS)}"
        raise ConfigError(f"{field!r} is no field; {advice}", file="--where")
    _matches(_FIELDS[field], field, value)
    return field, value


def _matches(column: sa.Column[Any], field: str, value: str) -> sa.ColumnElement[bool]:
    if value.lower() == _NOTHING:
        return column.is_(None)
    if isinstance(column.type, sa.Boolean):
        if value.lower() not in _YES_NO:
            raise ConfigError(f"{field} is true or false, and not {value!r}", file="--where")
        return column.is_(_YES_NO[value.lower()])
    if isinstance(column.type, sa.Integer | sa.Double):
        return column == _number(field, value)
    pattern = "%".join(re.sub(r"([\\%_])", r"\\\1", part) for part in value.lower().split("*"))
    return sa.func.lower(column).like(pattern, escape="\\")


def _number(field: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise ConfigError(f"{field} is a number, and not {value!r}", file="--where") from error


def _instant(text: str, now: datetime) -> datetime:
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return now - int(ago[1]) * _AGO_UNITS[ago[2]]
        found = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError) as error:
        words = f"{text!r} is no time; write how long ago (36h, 7d, 2w) or a date such as 2026-11-01"
        raise ConfigError(words, file="--since") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def finite(value: float | None) -> float | None:
    """A figure as it can be computed with; None where there is none."""
    return value if value is not None and isfinite(value) else None

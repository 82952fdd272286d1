"""
Cases over time: how a figure went, which cases are slowest, and whose verdicts nobody can rely on.

Rule: a result that is invalid or broke has no figure here; it is counted, and never drawn as one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import sqlalchemy as sa

from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.history.filters import FigureColumn, Filter, finite
from pytest_inferbench.records.history.queries import iso
from pytest_inferbench.records.history.schema import CONDITIONS, RESULTS, RUNS, SERIES, figures_table

# What is only known once a server was up: a case that broke before says nothing of these, and is not another one for it.
_KNOWN_LATE = ("engine_version", "image_digest", "clock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """
    One result on a trend.

    ``value`` is None where the result has no figure that could be believed; ``started_at`` is ISO 8601 in UTC.
    """

    case: str
    run_id: str
    started_at: str
    commit: str | None
    branch: str | None
    engine_version: str | None
    verdict: str
    value: float | None
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A case's figure over time, oldest first."""

    case: str
    unit: str
    points: tuple[Point, ...]

    @property
    def values(self) -> tuple[float, ...]:
        """Those that there are, oldest first."""
        return tuple(each.value for each in self.points if each.value is not None)

    @property
    def before(self) -> float | None:
        """The median of all but the last one; None where there is none."""
        return median(self.values[:-1]) if len(self.values) > 1 else None

    @property
    def change_percent(self) -> float | None:
        """The last one against the median of those before; None where there is nothing to compare with."""
        return (self.values[-1] / self.before - 1) * 100 if self.before else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowLine:
    """A case and the median of its newest results; ``worst`` is the worst of them, ``results`` how many they are."""

    case: str
    figure: str
    unit: str
    median: float
    worst: float
    last: float
    results: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlakyLine:
    """
    A case whose verdict changed between runs of one commit under the same conditions.

    ``changes`` counts neighbours in time that differ, ``changes_percent`` is their share of all neighbours, ``verdicts`` says how
    often each came.
    """

    case: str
    commit: str | None
    dirty: bool | None
    results: int
    changes: int
    changes_percent: float
    verdicts: str
    last_started_at: str


def trends(connection: sa.Connection, figure: FigureColumn, filter_: Filter, *, newest: int) -> list[Trend]:
    """How a figure went in each case that is meant, over its ``newest`` results; cases in the order of their ids."""
    by_case: dict[str, list[tuple[int, Point]]] = defaultdict(list)
    for row in connection.execute(_points(figure, filter_, newest)).mappings():
        by_case[row["case_id"]].append((row["started_us"], _point(row, figure)))
    found = []
    for case, points in sorted(by_case.items()):
        # Several series may share an id; in time they are one.
        ordered = [point for _, point in sorted(points, key=lambda each: each[0])]
        found.append(Trend(case=case, unit=figure.unit, points=tuple(ordered[-newest:])))
    return found


def slowest(found: Iterable[Trend], figure: FigureColumn, *, limit: int) -> list[SlowLine]:
    """The cases with the worst medians, worst first; of a figure of which more is better those with the smallest."""
    biggest_first = figure.smaller_is_better is not False
    worst = max if biggest_first else min
    lines = [
        SlowLine(
            case=each.case,
            figure=figure.name,
            unit=figure.unit,
            median=median(each.values),
            worst=worst(each.values),
            last=each.values[-1],
            results=len(each.values),
        )
        for each in found
        if each.values
    ]
    return sorted(lines, key=lambda line: line.median, reverse=biggest_first)[:limit]


def flakiest(connection: sa.Connection, filter_: Filter, *, limit: int) -> list[FlakyLine]:
    """The cases whose verdicts change most often between runs of one commit under the same conditions, worst first."""
    conditions = {row["id"]: dict(row) for row in connection.execute(sa.select(CONDITIONS)).mappings()}
    columns = [SERIES.c.case_id, RUNS.c.commit_hash, RUNS.c.dirty, RESULTS.c.conditions, RESULTS.c.verdict, RESULTS.c.started_us]
    tables = RESULTS.join(RUNS, RUNS.c.id == RESULTS.c.run).join(SERIES, SERIES.c.id == RESULTS.c.series)
    query = sa.select(*columns).select_from(tables).where(*filter_.clauses()).order_by(RESULTS.c.started_us, RESULTS.c.id)
    groups: dict[tuple[Any, ...], list[_Group]] = defaultdict(list)
    for case, commit, dirty, key, verdict, started_us in connection.execute(query):
        early, late = _split(conditions[key])
        _add(groups[case, commit, dirty, early], late, verdict, started_us)
    lines = [_flaky(case, commit, dirty, group) for (case, commit, dirty, _), each in groups.items() for group in each]
    changing = [line for line in lines if line.changes]
    return sorted(changing, key=lambda line: (-line.changes_percent, -line.changes, line.case))[:limit]


@dataclass(slots=True, kw_only=True)
class _Group:
    """Results that differ in nothing that is known; ``late`` is what is known of them by now."""

    late: dict[str, str]
    verdicts: list[str]
    last_us: int


def _split(conditions: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, str]]:
    early = tuple(value for name, value in conditions.items() if name not in {"id", "digest", *_KNOWN_LATE})
    return early, {name: conditions[name] for name in _KNOWN_LATE if conditions[name] is not None}


def _add(groups: list[_Group], late: Mapping[str, str], verdict: str, started_us: int) -> None:
    for group in groups:
        if all(group.late.get(name, value) == value for name, value in late.items()):
            group.late |= late
            group.verdicts.append(verdict)
            group.last_us = started_us
            return
    groups.append(_Group(late=dict(late), verdicts=[verdict], last_us=started_us))


def _flaky(case: str, commit: str | None, dirty: bool | None, group: _Group) -> FlakyLine:
    neighbours = len(group.verdicts) - 1
    changes = sum(a != b for a, b in zip(group.verdicts, group.verdicts[1:], strict=False))
    counts = Counter(group.verdicts)
    return FlakyLine(
        case=case,
        commit=commit,
        dirty=dirty,
        results=len(group.verdicts),
        changes=changes,
        changes_percent=100 * changes / neighbours if neighbours else 0.0,
        verdicts=", ".join(f"{counts[each.value]} {each.value}" for each in Outlook if counts[each.value]),
        last_started_at=iso(group.last_us),
    )


def _points(figure: FigureColumn, filter_: Filter, newest: int) -> sa.Select[Any]:
    place = sa.func.row_number().over(partition_by=RESULTS.c.series, order_by=RESULTS.c.started_us.desc()).label("place")
    ranked = sa.select(RESULTS.c.id, place).where(*filter_.clauses()).subquery()
    table = figures_table([figure.column])
    tables = RESULTS.join(ranked, ranked.c.id == RESULTS.c.id).join(RUNS, RUNS.c.id == RESULTS.c.run)
    tables = tables.join(SERIES, SERIES.c.id == RESULTS.c.series).join(CONDITIONS, CONDITIONS.c.id == RESULTS.c.conditions)
    tables = tables.outerjoin(table, table.c.result_id == RESULTS.c.id)
    columns: Sequence[sa.ColumnElement[Any]] = [
        SERIES.c.case_id,
        RUNS.c.run_id,
        RESULTS.c.started_us,
        RUNS.c.commit_hash,
        RUNS.c.branch,
        CONDITIONS.c.engine_version,
        RESULTS.c.verdict,
        RESULTS.c.error,
        table.c[figure.column].label("value"),
    ]
    return sa.select(*columns).select_from(tables).where(ranked.c.place <= newest)


def _point(row: Mapping[Any, Any], figure: FigureColumn) -> Point:
    believed = row["error"] is None and row["verdict"] != Outlook.INVALID
    return Point(
        case=row["case_id"],
        run_id=row["run_id"],
        started_at=iso(row["started_us"]),
        commit=row["commit_hash"],
        branch=row["branch"],
        engine_version=row["engine_version"],
        verdict=row["verdict"],
        value=finite(row["value"]) if believed else None,
        unit=figure.unit,
    )

"""
The matrix of a run as a grid of one figure: a row for each group of cases, a column for each load.

Rule: where several cases share a place, the worst of them stands there, so no good figure hides a bad one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.overview_charts import Group, load_level
from pytest_inferbench.reporting.run_table import axes_of, figures_of

ROWS_MAX = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """
    One figure over rows and columns: ``values[i][j]`` belongs to ``rows[i]`` and ``columns[j]``, NaN where there is no case.

    ``left_out`` is how many groups found no row.
    """

    figure: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    simulated: bool
    left_out: int = 0


def heat_map(found: Sequence[Group], figure: str = "ttft_p99") -> HeatMap:
    """The grid of a figure where smaller is better; of more groups than fit, the first ones."""
    shown = found[:ROWS_MAX]
    records = [record for group in shown for record in group.records]
    columns = tuple(dict.fromkeys(axes_of(record)["load"] for record in sorted(records, key=_load_order)))
    return HeatMap(
        figure=figure,
        rows=tuple(group.name for group in shown),
        columns=columns,
        values=tuple(tuple(_worst(group.records, column, figure) for column in columns) for group in shown),
        simulated=any(record.simulated for record in records),
        left_out=len(found) - len(shown),
    )


def _load_order(record: Record) -> tuple[int, float]:
    load = record.case.load
    kind = 0 if load.concurrency is not None else 2 if load.trace is not None else 1
    return kind, load_level(record)


def _worst(records: Sequence[Record], column: str, figure: str) -> float:
    here = [record for record in records if axes_of(record)["load"] == column]
    return max((figures_of(record)[figure] for record in here if figure in figures_of(record)), default=nan)

"""
The charts across a run's cases as files, for slides and for whoever cannot open a report.

Rule: they show what the report shows, of the same groups; only what can be asked is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.chart import Chart
from pytest_inferbench.reporting.heat_map import HeatMap, heat_map
from pytest_inferbench.reporting.overview_charts import Group, comparison_charts, groups, load_charts, pareto_chart

CHARTS = "charts"
"""The folder of a run in which they lie."""
_CASES_MIN = 2


def write_charts(run_dir: Path, records: Iterable[Record]) -> list[Path]:
    """
    Write PNG and SVG files of the charts across the cases into ``charts/`` of a run.

    ``throughput_against_ttft``, ``throughput_against_tpot``, ``pareto`` and ``heat_map`` where there are at least two measured
    cases; latencies against load where some cases differ in load alone. What was there before is replaced.

    Returns:
        The files, PNG and SVG of each chart; empty where there is nothing to compare.

    Raises:
        RecordError: a file cannot be written; names it.
    """
    found = groups(tuple(records))
    drawings = chosen_charts(found)
    if not drawings:
        return []
    from pytest_inferbench.reporting.plots import write_chart  # noqa: PLC0415 - brings matplotlib, and not every run has charts

    folder = run_dir / CHARTS
    files: list[Path] = []
    for name, drawing in drawings.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files += write_chart(folder / name, drawing)
        except OSError as error:
            raise RecordError(f"the chart {folder / name} cannot be written: {error}") from error
    return files


def chosen_charts(found: Sequence[Group]) -> dict[str, Chart | HeatMap]:
    """Which charts to write, by the name of their file without its ending; none where there is nothing to compare."""
    if sum(len(group.records) for group in found) < _CASES_MIN:
        return {}
    charts = (*comparison_charts(found), *load_charts(found))
    drawings: dict[str, Chart | HeatMap] = {_file_name(chart.title): chart for chart in charts}
    if not (trade := pareto_chart(found)).empty:
        drawings["pareto"] = trade
    return {**drawings, "heat_map": heat_map(found)}


def _file_name(title: str) -> str:
    return re.sub("[^a-z0-9]+", "_", title.lower()).strip("_")

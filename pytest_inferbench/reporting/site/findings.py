"""What changed in a history, where, and whether for the better; and how much runs differ anyway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pytest_inferbench.metrics.metric import Better
from pytest_inferbench.reporting.site.change_points import ChangePoint, change_points, scatter
from pytest_inferbench.reporting.site.figures import COMPARED, Figure
from pytest_inferbench.reporting.site.series import History, Series

# A ratio that was 0 has no relative change; a smaller one than this is not named.
_RATIO_CHANGE_MIN = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    A figure of a series has another level from a run on.

    ``run_before`` and ``run_after`` are positions in `History.runs`: whatever it was came between them. ``engine_before`` and
    ``engine_after`` are the engine's versions there.
    """

    series: int
    figure: Figure
    point: ChangePoint
    run_before: int
    run_after: int
    engine_before: str
    engine_after: str

    @property
    def worse(self) -> bool:
        """Whether it is for the worse, by the metric's direction."""
        return (self.point.after > self.point.before) == (self.figure.metric.better is Better.SMALLER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """
    What was found in a history.

    ``changes`` are in the order of the series and, within one, of the figures and runs; ``scatters`` has, for each series, the
    usual relative difference of a run from its level, by column, where it is known.
    """

    changes: tuple[Change, ...]
    scatters: tuple[dict[str, float], ...]


def find_changes(history: History, progress: Callable[[int], object] = lambda _done: None) -> Findings:
    """Search each series for changes; ``progress`` is told how many series are done."""
    changes: list[Change] = []
    scatters: list[dict[str, float]] = []
    for number in range(len(history.series)):
        scatters.append({})
        for figure in COMPARED:
            found, usual = _of_figure(history, number, figure)
            changes += found
            if not np.isnan(usual):
                scatters[-1][figure.column] = usual
        progress(number + 1)
    return Findings(changes=tuple(changes), scatters=tuple(scatters))


def counted(history: History, series: Series) -> list[bool]:
    """For each result, whether changes are searched with it: of the trunk, and to be believed."""
    return [
        history.runs[run].branch == history.trunk and verdict != "invalid"
        for run, verdict in zip(series.runs, series.verdicts, strict=True)
    ]


def _of_figure(history: History, number: int, figure: Figure) -> tuple[list[Change], float]:
    series = history.series[number]
    values = series.figures.get(figure.column)
    if values is None:
        return [], float("nan")
    rows = np.flatnonzero(np.array(counted(history, series)) & np.isfinite(values))
    points = change_points(values[rows])
    changes = [
        Change(
            series=number,
            figure=figure,
            point=point,
            run_before=series.runs[before],
            run_after=series.runs[after],
            engine_before=series.engines[before],
            engine_after=series.engines[after],
        )
        for point in points
        for before, after in [(rows[point.position - 1], rows[point.position])]
        if not np.isnan(point.size) or abs(point.after - point.before) >= _RATIO_CHANGE_MIN
    ]
    return changes, scatter(values[rows], tuple(point.position for point in points))

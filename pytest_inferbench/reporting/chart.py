"""
What a chart of the report shows, apart from how it is drawn.

Rule: a `Chart` is plain numbers and words. `svg` draws it without a script, `interactive` hands it to the report's own script,
and `plots` draws it into a file, so all say the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

# Told apart with any kind of colour vision, and at least 3:1 against white and against near-black, so one palette serves both
# themes. Order: blue, orange, teal, purple, red, olive, pink, grey.
PALETTE = ("#2f7fd6", "#d9700a", "#0e9a78", "#9a62d8", "#d94a4a", "#8a8a00", "#d0559b", "#7d8590")
LIMIT_COLOUR = "#d94a4a"
FAILURE_COLOUR = "#d94a4a"
FRONT_COLOUR = "#7d8590"

# A limit at more than this many times the largest value is not drawn.
_FAR = 3.0

Style = Literal["line", "steps", "points", "line+points", "crosses", "bars", "spans"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis: what it is, its unit, whether it is logarithmic, and ticks where only certain values make sense."""

    title: str
    unit: str = ""
    log: bool = False
    ticks: tuple[float, ...] = ()
    start_at_zero: bool = True

    @property
    def label(self) -> str:
        """The title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """
    Points of one kind; ``x`` and ``y`` are of one length and finite. ``hover`` is empty or has a text for each point.

    ``to`` is where a bar (of height ``y``) or a span (in row ``y``) that begins at ``x`` ends; empty for any other style.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    style: Style
    colour: str
    dash: bool = False
    hover: tuple[str, ...] = ()
    to: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitLine:
    """An objective's limit: a line across the chart at ``value`` of one axis."""

    axis: Literal["x", "y"]
    value: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """
    One chart; ``note`` says below it what a reader must know (what is left out), ``simulated`` marks title and axes.

    Charts of one ``link`` stand below each other, share their x axis, and are zoomed together. ``flat`` charts are half as high.
    """

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    limits: tuple[LimitLine, ...] = ()
    note: str = ""
    simulated: bool = False
    link: str = ""
    flat: bool = False

    @property
    def heading(self) -> str:
        """The title, which says so where figures are simulated."""
        return f"{self.title} · SIMULATED" if self.simulated else self.title

    @property
    def empty(self) -> bool:
        """True where there is no point to draw."""
        return not any(series.x for series in self.series)

    def axis_label(self, axis: Axis) -> str:
        """An axis label, which says so where figures are simulated."""
        return f"{axis.label}, SIMULATED" if self.simulated else axis.label


def with_limits(chart: Chart, limits: tuple[LimitLine, ...]) -> Chart:
    """
    The chart with the lines of objectives, as far as they lie near its points.

    A limit far above everything would press all points flat; it goes into the note instead.
    """
    far = tuple(limit for limit in limits if limit.value > _FAR * max(_values(chart, limit.axis), default=limit.value))
    notes = [chart.note] if chart.note else []
    if far:
        names = ", ".join(dict.fromkeys(limit.text for limit in far))
        notes.append(f"Not drawn, since far above: {names}.")
    return replace(chart, limits=tuple(limit for limit in limits if limit not in far), note=" ".join(notes))


def _values(chart: Chart, axis: Literal["x", "y"]) -> list[float]:
    return [value for series in chart.series for value in (series.x if axis == "x" else series.y)]


def spans_decades(values: tuple[float, ...], *, ratio: float = 30.0) -> bool:
    """True where values are positive and so far apart that a linear axis would hide the small ones."""
    return bool(values) and min(values) > 0 and max(values) / min(values) >= ratio

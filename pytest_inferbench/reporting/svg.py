"""
A chart as inline SVG: no script, crisp at any size, in the colours of the page around it.

It is what stands in the report before (and wherever) the interactive chart cannot be drawn: in print, without JavaScript.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from pytest_inferbench.reporting.chart import LIMIT_COLOUR, Axis, Chart, LimitLine, Series
from pytest_inferbench.reporting.figures import middle_cut

_WIDTH, _HEIGHT = 440, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 34, 62
_TICKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Values ``low`` to ``high`` of one axis, laid over pixels ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def at(self, value: float) -> float:
        """The pixel of a value; what lies outside is drawn at the edge."""
        low, high, here = self.low, self.high, value
        if self.log:
            low, high, here = log10(low), log10(high), log10(max(value, self.low))
        share = (here - low) / (high - low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def ticks(low: float, high: float, *, log: bool) -> tuple[float, ...]:
    """
    Round values from ``low`` to ``high`` for an axis, about five of them.

    A linear axis gets steps of 1, 2 or 5 times a power of ten, a logarithmic one those values themselves.
    """
    if log:
        decades = range(floor(log10(low)), ceil(log10(high)) + 1)
        factors = (1, 2, 5) if log10(high / low) < 2 else (1,)
        return tuple(each for ten in decades for factor in factors if low <= (each := factor * 10.0**ten) <= high)
    rough = (high - low) / _TICKS
    ten = 10.0 ** floor(log10(rough))
    step = next(factor * ten for factor in (1, 2, 5, 10) if factor * ten >= rough)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return tuple(index * step for index in range(first, last + 1))


def scale(axis: Axis, values: list[float], *, start: float, end: float) -> Scale:
    """The scale that shows all values with a little room."""
    usable = [value for value in values if value > 0] if axis.log else values
    low, high = (min(usable), max(usable)) if usable else (1.0 if axis.log else 0.0, 10.0 if axis.log else 1.0)
    if axis.log:
        return Scale(low=low / 1.15, high=max(high, low * 1.2) * 1.15, start=start, end=end, log=True)
    low = min(low, 0.0) if axis.start_at_zero else low
    if high - low < 1e-9:
        high = low + 1.0
    room = (high - low) * 0.05
    return Scale(low=low if axis.start_at_zero and low == 0 else low - room, high=high + room, start=start, end=end, log=False)


def svg(chart: Chart) -> str:
    """The chart as one ``<svg>`` element; every word in it is escaped."""
    x_values = [value for series in chart.series for value in series.x]
    y_values = [value for series in chart.series for value in series.y]
    x_values += [limit.value for limit in chart.limits if limit.axis == "x"]
    y_values += [limit.value for limit in chart.limits if limit.axis == "y"]
    x = scale(chart.x, x_values, start=_LEFT, end=_WIDTH - _RIGHT)
    y = scale(chart.y, y_values, start=_HEIGHT - _BOTTOM, end=_TOP)
    parts = [
        f'<svg class="ib-svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(chart.heading)}">',
        f'<text class="ib-svg-title" x="{_LEFT}" y="20">{escape(chart.heading)}</text>',
        *_x_axis(chart, x),
        *_y_axis(chart, y),
        *(_limit(limit, x=x, y=y) for limit in chart.limits),
        *(_series(series, x=x, y=y) for series in chart.series if series.x),
        *_legend(chart),
    ]
    if chart.empty:
        parts.append(f'<text class="ib-svg-empty" x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT / 2}">nothing was measured</text>')
    return "".join(parts) + "</svg>"


def _x_axis(chart: Chart, x: Scale) -> list[str]:
    bottom = _HEIGHT - _BOTTOM
    parts = []
    for value in chart.x.ticks or ticks(x.low, x.high, log=x.log):
        at = f"{x.at(value):.1f}"
        parts.append(f'<path class="ib-grid" d="M{at} {_TOP}V{bottom}"/>')
        parts.append(f'<text class="ib-tick" x="{at}" y="{bottom + 15}" text-anchor="middle">{_tick(value)}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    label = escape(chart.axis_label(chart.x))
    parts.append(f'<text class="ib-label" x="{middle}" y="{bottom + 32}" text-anchor="middle">{label}</text>')
    return parts


def _y_axis(chart: Chart, y: Scale) -> list[str]:
    parts = []
    for value in chart.y.ticks or ticks(y.low, y.high, log=y.log):
        at = y.at(value)
        parts.append(f'<path class="ib-grid" d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="ib-tick" x="{_LEFT - 6}" y="{at + 3.5:.1f}" text-anchor="end">{_tick(value)}</text>')
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    label = escape(chart.axis_label(chart.y))
    parts.append(f'<text class="ib-label" transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{label}</text>')
    return parts


def _tick(value: float) -> str:
    return f"{value:,.6g}"


def _limit(limit: LimitLine, *, x: Scale, y: Scale) -> str:
    style = f'stroke="{LIMIT_COLOUR}" stroke-width="1.3" stroke-dasharray="6 4" fill="none"'
    if limit.axis == "x":
        at = x.at(limit.value)
        # Text stays inside the chart: left of the line where it stands in the right half.
        anchor, shift = ("end", -4) if at > (_LEFT + _WIDTH) / 2 else ("start", 4)
        place = f'x="{at + shift:.1f}" y="{_TOP + 11}" text-anchor="{anchor}"'
        path = f"M{at:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"
    else:
        at = y.at(limit.value)
        place = f'x="{_LEFT + 4}" y="{at - 4 if at > _TOP + 14 else at + 12:.1f}"'
        path = f"M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"
    return f'<path {style} d="{path}"/><text class="ib-limit" {place}>{escape(limit.text)}</text>'


def _series(series: Series, *, x: Scale, y: Scale) -> str:
    places = [(x.at(each_x), y.at(each_y)) for each_x, each_y in zip(series.x, series.y, strict=True)]
    parts = []
    if "line" in series.style or series.style == "steps":
        path = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in places)
        if series.style == "steps":
            (x_first, y_first), *rest = places
            path = f"M{x_first:.1f} {y_first:.1f}" + "".join(f"H{px:.1f}V{py:.1f}" for px, py in rest)
        dash = ' stroke-dasharray="5 3"' if series.dash else ""
        parts.append(f'<path d="{path}" fill="none" stroke="{series.colour}" stroke-width="1.8"{dash}/>')
    if series.style == "crosses":
        path = "".join(f"M{px - 3:.1f} {py - 3:.1f}l6 6m0-6l-6 6" for px, py in places)
        parts.append(f'<path d="{path}" fill="none" stroke="{series.colour}" stroke-width="1.6"/>')
    elif "points" in series.style:
        # A line of no length with round ends is a dot: a thousand of them in one element.
        path = "".join(f"M{px:.1f} {py:.1f}h0" for px, py in places)
        size, opacity = (7, 1) if series.style == "line+points" else (4.5, 0.75)
        dots = f'stroke-width="{size}" stroke-linecap="round" stroke-opacity="{opacity}"'
        parts.append(f'<path d="{path}" fill="none" stroke="{series.colour}" {dots}/>')
    return "".join(parts)


def _legend(chart: Chart) -> list[str]:
    shown = [series for series in chart.series if series.x]
    if not shown:
        return []
    room = (_WIDTH - _LEFT - _RIGHT) / min(len(shown), 4)
    parts = []
    for position, series in enumerate(shown[:4]):
        left = _LEFT + position * room
        y = _HEIGHT - 12
        name = escape(middle_cut(series.name, max(int(room / 6.4) - 3, 4)))
        dash = ' stroke-dasharray="5 3"' if series.dash else ""
        parts.append(f'<path d="M{left:.1f} {y - 4}h14" stroke="{series.colour}" stroke-width="3"{dash}/>')
        parts.append(f'<text class="ib-tick" x="{left + 19:.1f}" y="{y}">{name}</text>')
    if len(shown) > 4:
        parts.append(f'<text class="ib-tick" x="{_WIDTH - _RIGHT}" y="20" text-anchor="end">+{len(shown) - 4} more</text>')
    return parts

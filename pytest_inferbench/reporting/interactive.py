"""
A chart that people can hover over, zoom and filter, with plotly.js embedded once in the report.

The results table of pytest-html is filled from JSON by its own script, and a ``<script>`` that arrives that way never runs. So
each chart is a ``<div>`` that carries its figure as data, with the SVG inside as what is seen until (and unless) the one
script of the report draws the figure, which it does when the chart scrolls into view.

Rule: plotly is imported here and nowhere else, and only when a report is written.
"""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from math import log10
from typing import Any

from pytest_inferbench.reporting.chart import LIMIT_COLOUR, Axis, Chart, LimitLine, Series
from pytest_inferbench.reporting.figures import middle_cut, number
from pytest_inferbench.reporting.svg import svg

_LOG_TICKS = tuple(float(f"{factor}e{exponent}") for exponent in range(-3, 8) for factor in (1, 2, 5))
PART = " · "
"""What stands between the parts of a series' name."""
_LEGEND_ENTRIES_MAX = 8
_LEGEND_LETTERS_MAX = 32
_LEGEND_ROW_PIXELS = 20
_MODES = {"line": "lines", "steps": "lines", "points": "markers", "line+points": "lines+markers", "crosses": "markers"}


def plotly_js() -> str:
    """plotly.js as it is shipped with the plotly package, about 4.8 MB."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - heavy, and only a report needs it

    return str(get_plotlyjs())


def asset(name: str) -> str:
    """One of this package's own assets: ``report.css`` or ``report.js``."""
    return files("pytest_inferbench.reporting").joinpath("assets", name).read_text(encoding="utf-8")


def figure(chart: Chart) -> dict[str, Any]:
    """The chart as a figure of plotly.js (``data`` and ``layout``); text and grid colours are set by the page's theme."""
    shown = [series for series in chart.series if series.x]
    names = _legend_names([series.name for series in shown])
    legend_rows = _legend_rows(names)
    return {
        "data": [_trace(series, chart, name) for series, name in zip(shown, names, strict=True)],
        "layout": {
            "title": {"text": _words(chart.heading), "x": 0, "xref": "paper", "font": {"size": 14}},
            "xaxis": _axis(chart.x, chart.axis_label(chart.x)),
            "yaxis": _axis(chart.y, chart.axis_label(chart.y)),
            "shapes": [_shape(limit) for limit in chart.limits],
            "annotations": [_annotation(limit, chart) for limit in chart.limits],
            "margin": {"l": 60, "r": 16, "t": 40, "b": 48 + _LEGEND_ROW_PIXELS * legend_rows},
            "legend": {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
            "showlegend": legend_rows > 0,
            "hovermode": "closest",
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
        },
    }


def _words(text: str) -> str:
    """Text for plotly, which knows some tags and the entities for ``&``, ``<`` and ``>`` alone."""
    return escape(text, quote=False)


def _legend_names(names: list[str]) -> list[str]:
    """Names short enough for the legend: parts that fewest differ in go first, as long as the rest tells all names apart."""
    parts = [tuple(name.split(PART)) for name in names]
    if len({len(each) for each in parts}) == 1:
        for place in sorted(range(len(parts[0])), key=lambda place: len({each[place] for each in parts})):
            shorter = [tuple("" if at == place else part for at, part in enumerate(each)) for each in parts]
            if _longest(parts) > _LEGEND_LETTERS_MAX and len(set(shorter)) == len(set(parts)):
                parts = shorter
    return [middle_cut(_joined(each), _LEGEND_LETTERS_MAX) for each in parts]


def _longest(parts: list[tuple[str, ...]]) -> int:
    return max(len(_joined(each)) for each in parts)


def _joined(parts: tuple[str, ...]) -> str:
    return PART.join(filter(None, parts))


def _legend_rows(names: list[str]) -> int:
    """Rows to keep free for the legend; 0 where it would say nothing, or take the place of the chart."""
    if len(names) < 2 or len(names) > _LEGEND_ENTRIES_MAX:
        return 0
    # plotly gives all entries the width of the widest, about seven pixels a letter; long names stand in wide charts only.
    columns = max(1, min(len(names), 550 // (max(map(len, names)) * 7 + 45)))
    return -(-len(names) // columns)


def chart_div(chart: Chart) -> str:
    """The chart as HTML that shows itself without any script, and that the report's script makes interactive."""
    note = f'<p class="ib-note">{escape(chart.note)}</p>' if chart.note else ""
    if chart.empty:
        return f'<div class="ib-chart-box"><div class="ib-chart">{svg(chart)}</div>{note}</div>'
    data = escape(json.dumps(figure(chart), allow_nan=False, separators=(",", ":")))
    return f'<div class="ib-chart-box"><div class="ib-chart inferbench-chart" data-figure="{data}">{svg(chart)}</div>{note}</div>'


def _trace(series: Series, chart: Chart, legend: str) -> dict[str, Any]:
    name = _words(series.name)
    trace: dict[str, Any] = {
        # WebGL would be quicker, but browsers allow a page only a few such contexts.
        "type": "scatter",
        "mode": _MODES[series.style],
        "name": _words(legend),
        "x": series.x,
        "y": series.y,
        "line": {
            "color": series.colour,
            "width": 2,
            "dash": "dash" if series.dash else "solid",
            "shape": "hv" if series.style == "steps" else "linear",
        },
        "marker": {
            "color": series.colour,
            "size": 8 if series.style in {"line+points", "crosses"} else 5,
            "symbol": "x-thin-open" if series.style == "crosses" else "circle",
            "opacity": 0.75 if series.style == "points" else 1,
        },
        "hovertemplate": f"{name}<br>%{{x:.4~g}} {_words(chart.x.unit)}<br>%{{y:.4~g}} {_words(chart.y.unit)}<extra></extra>",
    }
    if series.hover:
        trace["text"] = [_words(text) for text in series.hover]
        trace["hovertemplate"] = trace["hovertemplate"].replace("<br>", "<br>%{text}<br>", 1)
    return trace


def _axis(axis: Axis, label: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "title": {"text": _words(label), "standoff": 6},
        "type": "log" if axis.log else "linear",
        "tickformat": ",~g",
        "automargin": True,
    }
    if axis.ticks:
        described |= {"tickvals": axis.ticks, "ticktext": [f"{tick:g}" for tick in axis.ticks]}
    elif axis.log:
        # Otherwise plotly writes "2" and "5" between "100" and "1000".
        described |= {"tickvals": _LOG_TICKS, "ticktext": [number(tick) for tick in _LOG_TICKS]}
    if axis.start_at_zero and not axis.log:
        described["rangemode"] = "tozero"
    return described


def _shape(limit: LimitLine) -> dict[str, Any]:
    line = {"color": LIMIT_COLOUR, "width": 1.5, "dash": "dash"}
    if limit.axis == "x":
        return {"type": "line", "x0": limit.value, "x1": limit.value, "y0": 0, "y1": 1, "yref": "paper", "line": line}
    return {"type": "line", "y0": limit.value, "y1": limit.value, "x0": 0, "x1": 1, "xref": "paper", "line": line}


def _annotation(limit: LimitLine, chart: Chart) -> dict[str, Any]:
    axis = chart.x if limit.axis == "x" else chart.y
    # plotly places annotations on a logarithmic axis by the exponent, and shapes by the value.
    at = log10(limit.value) if axis.log and limit.value > 0 else limit.value
    text = {"text": _words(limit.text), "showarrow": False, "font": {"color": LIMIT_COLOUR, "size": 11}}
    if limit.axis == "x":
        return {**text, "x": at, "y": 1, "yref": "paper", "xanchor": "left", "yanchor": "top"}
    return {**text, "x": 0, "xref": "paper", "y": at, "xanchor": "left", "yanchor": "bottom"}

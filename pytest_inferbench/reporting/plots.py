"""
Charts as files: the picture of a case (how its requests fared and how tokens came in), and any `Chart` or `HeatMap`.

Rule: matplotlib is imported here and nowhere else, through its objects alone. pyplot keeps figures in a global list, which a
long session would fill.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.case_charts import E2E_COLOUR, THROUGHPUT_COLOUR, TTFT_COLOUR
from pytest_inferbench.reporting.chart import FAILURE_COLOUR, LIMIT_COLOUR, Axis, Chart, Series, spans_decades
from pytest_inferbench.reporting.figures import count, middle_cut, number, printable, quantity
from pytest_inferbench.reporting.heat_map import HeatMap
from pytest_inferbench.reporting.per_request import Floats, Requests, requests_of, thinned, throughput_of
from pytest_inferbench.reporting.short_names import short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE_INCHES = (12.0, 4.8)
# Twice what a screen needs at this size, so that it stays sharp on dense ones and in slides.
_DOTS_PER_INCH = 160
_TITLE_WIDTH = 90
_POINTS_MAX = 20_000
_TEXT, _MUTED, _GRID = "#1d232b", "#5a6573", "#dfe3e8"


def write_case_png(path: Path, record: Record, traces: Traces) -> None:
    """Write the picture of one case; also where it has one request, only failures, or nothing at all."""
    figure = case_figure(record, traces)
    figure.savefig(path, dpi=_DOTS_PER_INCH, format="png", facecolor="white", metadata={"Software": "pytest-inferbench"})


def case_figure(record: Record, traces: Traces) -> Figure:
    """Left each request's TTFT and E2E over its send time, right output tokens a second over time."""
    figure = _empty_figure(_SIZE_INCHES, _title(record))
    latencies, throughput = figure.subplots(1, 2)
    _draw_latencies(latencies, record, requests_of(traces))
    _draw_throughput(throughput, record, traces)
    for axes in (latencies, throughput):
        _tidy(axes)
    return figure


def _title(record: Record) -> str:
    case_id = middle_cut(printable(record.case.id), _TITLE_WIDTH)
    marks = [record.verdict.outlook.value, *(["SIMULATED"] if record.simulated else [])]
    return f"{case_id}  ({', '.join(marks)})"


def _label(text: str, record: Record) -> str:
    return f"{text}, SIMULATED" if record.simulated else text


def _draw_latencies(axes: Axes, record: Record, requests: Requests) -> None:
    axes.set_title("Latency of each request", loc="left", fontsize=11, color=_TEXT)
    axes.set_xlabel(_label("sent after the first request (s)", record))
    axes.set_ylabel(_label("latency (ms)", record))
    shown = (("TTFT", requests.ttft_ms, TTFT_COLOUR), ("E2E", requests.e2e_ms, E2E_COLOUR))
    for name, values, colour in shown:
        _draw_requests(axes, name, requests.sent_s, values, colour)
    # A legend fills its columns downwards: so each column is one percentile, and each row one metric.
    for percentile, style in (("p50", "-"), ("p99", "--")):
        for name, values, colour in shown:
            if not np.isnan(values).all():
                _draw_percentile(axes, name, record, _Line(percentile=percentile, style=style, colour=colour))
    lost = thinned(requests.gave_up_ms, _POINTS_MAX)
    if len(lost):
        label = f"did not complete ({count(int(np.sum(~np.isnan(requests.gave_up_ms))))})"
        axes.plot(requests.sent_s[lost], requests.gave_up_ms[lost], "x", color=FAILURE_COLOUR, markersize=6, label=label)
    _set_latency_axis(axes, requests)
    _add_legend(axes)


def _set_latency_axis(axes: Axes, requests: Requests) -> None:
    every_ms = np.concatenate((requests.ttft_ms, requests.e2e_ms))
    completed_ms = every_ms[~np.isnan(every_ms)]
    gave_up_ms = requests.gave_up_ms[~np.isnan(requests.gave_up_ms)]
    if not len(completed_ms) and not len(gave_up_ms):
        _say_empty(axes)
    elif spans_decades(tuple(completed_ms.tolist())):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: number(value))
    else:
        axes.set_ylim(bottom=0, top=float(np.concatenate((completed_ms, gave_up_ms)).max()) * 1.12 or 1.0)


def _draw_requests(axes: Axes, name: str, sent_s: Floats, values: Floats, colour: str) -> None:
    chosen = thinned(values, _POINTS_MAX)
    if len(chosen):
        size, opacity = (5.0, 0.9) if len(chosen) < 300 else (3.0, 0.45)
        axes.plot(sent_s[chosen], values[chosen], "o", color=colour, markersize=size, alpha=opacity, mew=0, label=name)


class _Line(NamedTuple):
    """How the line of one percentile is drawn."""

    percentile: str
    style: str
    colour: str


def _draw_percentile(axes: Axes, name: str, record: Record, line: _Line) -> None:
    distribution = record.summary.distributions.get(name.lower()) if record.summary else None
    if distribution is None or not distribution.count:
        return
    value = float(getattr(distribution, line.percentile))
    label = f"{name} {line.percentile} {quantity(value, 'ms')}"
    axes.axhline(value, color=line.colour, linestyle=line.style, linewidth=1.2, label=label)


def _add_legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = (len(handles) + 1) // 2
        legend = axes.legend(handles, labels, loc="upper left", bbox_to_anchor=(-0.02, -0.15), ncols=columns, fontsize=8.5)
        legend.set_frame_on(False)


def _draw_throughput(axes: Axes, record: Record, traces: Traces) -> None:
    throughput = throughput_of(traces)
    if len(throughput.middle_s):
        half = throughput.bin_s / 2
        edges = np.append(throughput.middle_s - half, throughput.middle_s[-1] + half)
        axes.stairs(throughput.tokens_per_s, edges, color=THROUGHPUT_COLOUR, fill=True, alpha=0.25)
        axes.stairs(throughput.tokens_per_s, edges, color=THROUGHPUT_COLOUR, linewidth=1.6)
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
    else:
        _say_empty(axes)
    mean = record.summary.scalars.get("output_throughput") if record.summary else None
    if mean is not None and np.isfinite(mean) and len(throughput.middle_s):
        label = f"whole case {quantity(mean, 'tok/s')}"
        axes.axhline(mean, color=_TEXT, linestyle="--", linewidth=1.2, label=label)
        _add_legend(axes)
    bins = f" (bins of {quantity(throughput.bin_s, 's')})" if throughput.bin_s else ""
    axes.set_title(f"Output throughput{bins}", loc="left", fontsize=11, color=_TEXT)
    axes.set_xlabel(_label("time since the first request (s)", record))
    axes.set_ylabel(_label("output tokens per second (tok/s)", record))


def _say_empty(axes: Axes) -> None:
    axes.text(0.5, 0.5, "nothing was measured", ha="center", va="center", transform=axes.transAxes, color=_MUTED, fontsize=12)


def _tidy(axes: Axes) -> None:
    axes.grid(visible=True, color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_MUTED, labelsize=9)
    axes.xaxis.label.set_color(_TEXT)
    axes.yaxis.label.set_color(_TEXT)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_MUTED)


_CHART_INCHES = (8.0, 4.8)
_CHART_DOTS_PER_INCH = 120
_NAME_WIDTH = 56
_LEGEND_MAX = 10


def write_chart(path: Path, drawing: Chart | HeatMap) -> tuple[Path, Path]:
    """Write a chart beside each other as PNG and as SVG (with text as text); ``path`` has no ending."""
    figure = heat_figure(drawing) if isinstance(drawing, HeatMap) else chart_figure(drawing)
    png, vector = path.with_name(f"{path.name}.png"), path.with_name(f"{path.name}.svg")
    figure.savefig(png, dpi=_CHART_DOTS_PER_INCH, format="png", facecolor="white", metadata={"Software": "pytest-inferbench"})
    from matplotlib import rc_context  # noqa: PLC0415 - heavy, and not every run draws

    # It is laid out already, which takes longer than to draw it.
    figure.set_layout_engine("none")
    # The same chart is the same file: no date in it, and no names that are drawn by lot.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "pytest-inferbench"}):
        figure.savefig(vector, format="svg", facecolor="white", metadata={"Date": None, "Creator": "pytest-inferbench"})
    return png, vector


def chart_figure(chart: Chart) -> Figure:
    """A chart across cases, with its limits, its legend beside it, and its note below it."""
    figure = _empty_figure(_CHART_INCHES, chart.heading)
    axes = figure.subplots()
    shown = [series for series in chart.series if series.x]
    for series, name in zip(shown, short_names([series.name for series in shown], _NAME_WIDTH), strict=True):
        _draw_series(axes, series, name)
    for limit in chart.limits:
        across = axes.axvline if limit.axis == "x" else axes.axhline
        across(limit.value, color=LIMIT_COLOUR, linestyle="--", linewidth=1.2, label=limit.text)
    _set_axis(axes, "x", chart.x)
    _set_axis(axes, "y", chart.y)
    axes.set_xlabel(chart.axis_label(chart.x))
    axes.set_ylabel(chart.axis_label(chart.y))
    _name_series(axes)
    if chart.note:
        figure.text(0.01, -0.02, chart.note, fontsize=8, color=_MUTED, parse_math=False, ha="left", va="top")
    _tidy(axes)
    return figure


def heat_figure(drawing: HeatMap) -> Figure:
    """A grid of one figure, the darker the higher, with its value in each place."""
    figure = _empty_figure(
        (max(7.0, 4.4 + 0.7 * len(drawing.columns)), max(2.4, 1.4 + 0.34 * len(drawing.rows))), _heat_title(drawing)
    )
    axes = figure.subplots()
    values = np.array(drawing.values, dtype=np.float64).reshape(len(drawing.rows), len(drawing.columns))
    shades = np.log(values, where=values > 0, out=np.full_like(values, np.nan))
    low, high = (float(each) for each in (np.nanmin(shades), np.nanmax(shades))) if np.isfinite(shades).any() else (0.0, 1.0)
    # Room above the highest, so that dark text can be read on every shade.
    axes.imshow(shades, cmap="Blues", aspect="auto", vmin=low, vmax=high + 1.2 * max(high - low, 1.0))
    for row, column in zip(*np.nonzero(~np.isnan(values)), strict=True):
        axes.text(column, row, number(float(values[row, column])), ha="center", va="center", fontsize=8, color=_TEXT)
    axes.set_xticks(range(len(drawing.columns)), drawing.columns, fontsize=8)
    axes.set_yticks(range(len(drawing.rows)), short_names(drawing.rows, _NAME_WIDTH), fontsize=8)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    axes.set_xlabel("load, SIMULATED" if drawing.simulated else "load")
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return figure


def _heat_title(drawing: HeatMap) -> str:
    metric, _, statistic = drawing.figure.rpartition("_")
    more = f", {count(drawing.left_out)} more groups are left out" if drawing.left_out else ""
    return f"{metric.upper()} {statistic} (ms){more}{' · SIMULATED' if drawing.simulated else ''}"


def _empty_figure(inches: tuple[float, float], title: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - heavy, and not every run draws
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=inches, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=_TEXT, parse_math=False)
    return figure


def _draw_series(axes: Axes, series: Series, name: str) -> None:
    marker = "o" if "points" in series.style else ""
    line = ("--" if series.dash else "-") if "line" in series.style else ""
    axes.plot(
        series.x, series.y, color=series.colour, marker=marker, linestyle=line or "none", linewidth=1.6, markersize=5, label=name
    )


def _set_axis(axes: Axes, which: str, axis: Axis) -> None:
    of = axes.xaxis if which == "x" else axes.yaxis
    if axis.log:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        of.set_minor_formatter("")
    elif axis.start_at_zero:
        (axes.set_xlim if which == "x" else axes.set_ylim)(0)
    of.set_major_formatter(lambda value, _: number(value))
    if axis.ticks:
        of.set_ticks(axis.ticks)
        of.set_ticks([], minor=True)


def _name_series(axes: Axes) -> None:
    """A legend to the right of the chart, as long as it is one; otherwise how many lines there are."""
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) < 2:
        return
    legend = axes.legend(handles[:_LEGEND_MAX], labels[:_LEGEND_MAX], loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8)
    legend.set_frame_on(False)
    if len(handles) > _LEGEND_MAX:
        legend.set_title(f"{_LEGEND_MAX} of {len(handles)}")
    for text in legend.get_texts():
        text.set_parse_math(False)

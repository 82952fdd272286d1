from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import plotly.graph_objects as go
import pytest

from pytest_inferbench.reporting.case_charts import case_charts
from pytest_inferbench.reporting.chart import PALETTE, Axis, Chart, Series
from pytest_inferbench.reporting.interactive import asset, chart_div, figure, plotly_js
from pytest_inferbench.reporting.overview_charts import comparison_charts, groups, sweep_charts
from tests.reporting.examples import HOSTILE, whole_run


def every_chart() -> list[Chart]:
    examples = whole_run()
    found = groups([record for record, _ in examples])
    charts = [*comparison_charts(found), *(chart for group in found for chart in sweep_charts(group))]
    return charts + [chart for record, traces in examples if traces for chart in case_charts(record, traces)]


class Attributes(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.figures: list[Any] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.figures += [json.loads(value or "") for name, value in attrs if name == "data-figure"]


def test_plotly_accepts_every_figure() -> None:
    for chart in every_chart():
        drawn = go.Figure(figure(chart))
        assert [len(trace.x) for trace in drawn.data] == [len(series.x) for series in chart.series if series.x]


def test_a_div_carries_its_figure_as_data_and_shows_an_svg_without_any_script() -> None:
    for chart in every_chart():
        parsed = Attributes(chart_div(chart))
        assert parsed.figures == [json.loads(json.dumps(figure(chart)))]
        assert {"div", "svg"} <= set(parsed.tags)
        assert "script" not in parsed.tags


def test_words_of_others_cannot_leave_the_attribute_nor_the_figure() -> None:
    chart = every_chart()[0]
    hostile = replace(chart, title=HOSTILE, note=HOSTILE, series=(replace(chart.series[0], name=HOSTILE, hover=()),))
    parsed = Attributes(chart_div(hostile))
    assert "img" not in parsed.tags
    assert "script" not in parsed.tags
    assert "<" not in parsed.figures[0]["layout"]["title"]["text"]
    assert "<" not in parsed.figures[0]["data"][0]["name"]


def test_an_empty_chart_needs_no_script() -> None:
    empty = replace(every_chart()[0], series=())
    assert Attributes(chart_div(empty)).figures == []
    assert "nothing was measured" in chart_div(empty)


def test_a_limit_on_a_logarithmic_axis_is_labelled_where_its_line_is() -> None:
    chart = next(each for each in every_chart() if each.limits and each.limits[0].axis == "y")
    layout = figure(replace(chart, y=replace(chart.y, log=True), limits=(replace(chart.limits[0], value=1000),)))["layout"]
    assert layout["shapes"][0]["y0"] == 1000
    assert layout["annotations"][0]["y"] == pytest.approx(3)


def test_plotly_js_and_our_assets_can_stand_inside_a_script_or_style() -> None:
    assert len(plotly_js()) > 1_000_000
    for text in (plotly_js(), asset("report.js")):
        assert "</script" not in text.lower()
    assert "</style" not in asset("report.css").lower()


def test_nothing_of_ours_is_fetched_from_a_network() -> None:
    for name in ("report.js", "report.css"):
        assert "//" not in "".join(line for line in asset(name).splitlines() if not line.strip().startswith("//"))


def legend(*names: str) -> list[str]:
    series = tuple(Series(name=name, x=(1.0,), y=(1.0,), style="line", colour=PALETTE[0]) for name in names)
    chart = Chart(title="t", x=Axis(title="x"), y=Axis(title="y"), series=series)
    return [trace["name"] for trace in figure(chart)["data"]]


def test_long_names_leave_out_of_the_legend_what_tells_them_apart_least() -> None:
    names = [f"chat · a-model-of-some-size · tp1 · D({length},100) · closed loop" for length in (100, 512)]
    assert legend(*names, "misses · a-model-of-some-size · tp4 · D(2000,64) · poisson") == [
        *("tp1 · D(100,100) · closed loop", "tp1 · D(512,100) · closed loop"),
        "tp4 · D(2000,64) · poisson",
    ]


def test_short_names_and_those_that_differ_in_everything_stay_in_the_legend() -> None:
    assert legend("a · b", "a · c") == ["a · b", "a · c"]
    assert legend("p50", "p99 · x") == ["p50", "p99 · x"]

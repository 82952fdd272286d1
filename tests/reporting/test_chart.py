from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.reporting.chart import PALETTE, Axis, Chart, LimitLine, Series, spans_decades, with_limits

LINE = Series(name="TTFT", x=(1.0,), y=(2.0,), style="line", colour=PALETTE[0])
CHART = Chart(title="Latency", x=Axis(title="load"), y=Axis(title="TTFT", unit="ms"), series=(LINE,))


def test_an_axis_is_labelled_with_its_unit_where_it_has_one() -> None:
    assert [CHART.x.label, CHART.y.label] == ["load", "TTFT (ms)"]


def test_a_simulated_chart_says_so_in_its_heading_and_on_its_axes() -> None:
    simulated = replace(CHART, simulated=True)
    assert [CHART.heading, CHART.axis_label(CHART.y)] == ["Latency", "TTFT (ms)"]
    assert [simulated.heading, simulated.axis_label(CHART.y)] == ["Latency · SIMULATED", "TTFT (ms), SIMULATED"]


def test_a_chart_without_a_point_is_empty() -> None:
    assert not CHART.empty
    assert replace(CHART, series=(replace(LINE, x=(), y=()),)).empty


def test_values_far_apart_ask_for_a_logarithmic_axis_unless_one_cannot_be_on_it() -> None:
    assert spans_decades((1, 30))
    assert not spans_decades((1, 29))
    assert not spans_decades((0, 30))
    assert not spans_decades(())


def test_a_limit_near_the_points_is_drawn_and_one_far_above_is_only_named() -> None:
    near = LimitLine(axis="y", value=5.9, text="TTFT p99 ≤ 5.9")
    far = LimitLine(axis="y", value=60_000, text="TTFT p99 ≤ 60,000")
    chart = with_limits(replace(CHART, note="Two cases."), (near, far))
    assert chart.limits == (near,)
    assert chart.note == "Two cases. Not drawn, since far above: TTFT p99 ≤ 60,000."
    assert with_limits(replace(CHART, series=()), (far,)).limits == (far,)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@given(st.sampled_from(PALETTE), st.sampled_from(["#ffffff", "#171c23"]))
def test_every_colour_is_visible_on_the_light_and_the_dark_page(colour: str, page: str) -> None:
    lighter, darker = sorted((luminance(colour), luminance(page)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 3

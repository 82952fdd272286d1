from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.reporting.chart import PALETTE, Axis, Chart, LimitLine, Series
from pytest_inferbench.reporting.svg import svg, ticks
from tests.reporting.examples import HOSTILE


def chart(x: tuple[float, ...], y: tuple[float, ...], *, log: bool = False, name: str = "TTFT") -> Chart:
    return Chart(
        title=name,
        x=Axis(title="throughput", unit="tok/s"),
        y=Axis(title="TTFT", unit="ms", log=log),
        series=(Series(name=name, x=x, y=y, style="line+points", colour=PALETTE[0]),),
        limits=(LimitLine(axis="y", value=250, text="TTFT p99 ≤ 250"),),
    )


def elements(drawn: str, name: str) -> list[ET.Element]:
    return list(ET.fromstring(drawn).iter(name))  # noqa: S314 - our own drawing


def paths(drawn: str) -> list[str]:
    return [element.get("d", "") for element in elements(drawn, "path")]


def texts(drawn: str) -> list[str]:
    return [element.text or "" for element in elements(drawn, "text")]


def test_a_chart_names_its_axes_with_units_its_series_and_its_limits() -> None:
    shown = texts(svg(chart((1, 2), (100, 300))))
    assert {"throughput (tok/s)", "TTFT (ms)", "TTFT", "TTFT p99 ≤ 250"} <= set(shown)


def test_steps_go_across_and_then_up() -> None:
    line = chart((0, 10), (0, 100))
    drawn = svg(Chart(title="T", x=line.x, y=line.y, series=(replace(line.series[0], style="steps"),)))
    (steps,) = (path for path in paths(drawn) if "H" in path and "V" in path)
    assert re.fullmatch(r"M62\.0 [\d.]+H[\d.]+V[\d.]+", steps)


def test_words_of_others_stay_words() -> None:
    drawn = svg(chart((1, 2), (100, 300), name=HOSTILE.replace("\x1b[31m", "")))
    assert "<img" not in drawn
    assert "<script" not in drawn
    assert any("<img src=x" in text for text in texts(drawn))


def test_simulated_figures_say_so_in_the_title_and_on_both_axes() -> None:
    plain = chart((1,), (100,))
    shown = texts(svg(Chart(title="T", x=plain.x, y=plain.y, series=plain.series, simulated=True)))
    assert sum("SIMULATED" in text for text in shown) == 3


def test_an_empty_chart_says_that_nothing_was_measured() -> None:
    assert "nothing was measured" in texts(svg(chart((), ())))


@given(
    st.lists(st.tuples(st.floats(0, 1e9), st.floats(1e-3, 1e9)), min_size=1, max_size=20),
    st.booleans(),
)
def test_every_point_lies_inside_the_picture(points: list[tuple[float, float]], log: bool) -> None:
    drawn = svg(chart(tuple(x for x, _ in points), tuple(y for _, y in points), log=log))
    assert "nan" not in drawn
    dots = [path.get("d", "") for path in elements(drawn, "path") if path.get("stroke-linecap")]
    places = [tuple(map(float, place.removesuffix("h0").split())) for place in dots[0].split("M")[1:]]
    assert len(places) == len(points)
    assert all(0 <= x <= 440 and 0 <= y <= 320 for x, y in places)


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (0, 10, False, (0, 2, 4, 6, 8, 10)),
        (0, 263, False, (0, 100, 200)),
        (0.9, 60, True, (1, 2, 5, 10, 20, 50)),
        (9, 20_000, True, (10, 100, 1000, 10_000)),
    ],
)
def test_ticks_are_round_numbers(*, low: float, high: float, log: bool, expected: tuple[float, ...]) -> None:
    assert ticks(low, high, log=log) == pytest.approx(expected)

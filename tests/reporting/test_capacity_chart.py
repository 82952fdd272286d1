"""What a search saw, as charts, a table and a sentence."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from pathlib import Path
from xml.etree import ElementTree as ET

from pytest_inferbench.objectives.capacity import Capacity, Figure, Look
from pytest_inferbench.objectives.slo import parse_objectives
from pytest_inferbench.objectives.verdict import Judgement, Outlook, Verdict
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.capacity_chart import (
    capacity_charts,
    capacity_svg,
    capacity_words,
    level_table,
    write_capacity_svgs,
)
from pytest_inferbench.reporting.svg import svg
from tests.records.example import example_record

TTFT = "ttft_p90 <= 500ms"


def look(level: float, outlook: Outlook, actual: float, *, low: float = nan, high: float = nan, reason: str = "") -> Look:
    figures = (
        Figure(objective=TTFT, limit=500, actual=actual, low=low, high=high),
        Figure(objective="error_rate <= 0", limit=0, actual=0.0),
    )
    return Look(level=level, requests=400, outlook=outlook, leaning=None, reason=reason, figures=figures)


FOUND = Capacity(
    metric="max_rate",
    low=12.5,
    high=13.1,
    confidence=0.95,
    looks=(
        look(10, Outlook.PASS, 210.5, low=180, high=260),
        look(40, Outlook.FAIL, 9000, reason="more requests came than were answered"),
        look(12.5, Outlook.PASS, 400, low=350, high=480),
        look(13.1, Outlook.FAIL, inf),
        look(12.8, Outlook.INCONCLUSIVE, 500, low=300, high=inf),
    ),
    requests_used=2000,
    requests_of_grid=43_600,
    monotone=True,
)


def record_of(found: Capacity | None, *, simulated: bool = False) -> Record:
    objectives = parse_objectives((TTFT, "error_rate <= 0", "max_rate >= 10 req/s"))
    judgements = tuple(Judgement(objective=each, outlook=Outlook.PASS, actual=1.0, unit="ms", reason="") for each in objectives)
    verdict = Verdict(outlook=Outlook.PASS, judgements=judgements)
    return replace(example_record(), capacity=found, verdict=verdict, simulated=simulated)


def test_each_objective_on_a_latency_has_a_chart_of_its_figure_by_level() -> None:
    (chart,) = capacity_charts(record_of(FOUND))
    assert chart.title == "TTFT p90 by level of load"
    assert (chart.x.label, chart.y.label) == ("max_rate (req/s)", "TTFT p90 (ms)")
    shown = {each.name: dict(zip(each.x, each.y, strict=True)) for each in chart.series[:-1]}
    assert shown == {"passes": {10: 210.5, 12.5: 400.0}, "fails": {40: 9000.0}, "cannot tell": {12.8: 500.0}}


def test_intervals_and_what_was_found_are_drawn() -> None:
    (chart,) = capacity_charts(record_of(FOUND))
    (interval,) = (each for each in chart.series if each.name == "95 % interval")
    assert list(interval.y) == [180, 260, 350, 480, 300]
    assert [(each.axis, each.value, each.text) for each in chart.limits] == [
        ("y", 500, "<= 500 ms"),
        ("x", 12.5, "12.5 passes"),
        ("x", 13.1, "13.1 fails"),
    ]


def test_a_chart_stands_on_a_page_and_in_a_file_of_its_own() -> None:
    (chart,) = capacity_charts(record_of(FOUND, simulated=True))
    assert "SIMULATED" in svg(chart)
    alone = ET.fromstring(capacity_svg(chart))  # noqa: S314 - our own drawing
    assert alone.tag == "{http://www.w3.org/2000/svg}svg"
    assert "12.5 passes" in [element.text for element in alone.iter("{http://www.w3.org/2000/svg}text")]


def test_each_chart_is_a_file_beside_the_record(tmp_path: Path) -> None:
    write_capacity_svgs(tmp_path, record_of(FOUND))
    write_capacity_svgs(tmp_path, record_of(None))
    assert [path.name for path in tmp_path.iterdir()] == ["capacity-1.svg"]
    assert "TTFT p90 by level of load" in (tmp_path / "capacity-1.svg").read_text(encoding="utf-8")


def test_a_case_that_did_not_search_and_one_that_saw_nothing_have_none() -> None:
    assert capacity_charts(record_of(None)) == ()
    assert capacity_charts(record_of(replace(FOUND, looks=()))) == ()
    assert capacity_charts(record_of(replace(FOUND, looks=(look(5, Outlook.FAIL, inf),)))) == ()


def test_the_table_has_a_row_for_each_load() -> None:
    table = level_table(FOUND)
    assert table[0] == ("10.0 req/s", "400", "passes", "ttft_p90 <= 500ms: 210 (180 to 260); error_rate <= 0: 0", "")
    assert table[1][2:] == ("fails", "ttft_p90 <= 500ms: 9,000; error_rate <= 0: 0", "more requests came than were answered")
    assert table[4][3].startswith("ttft_p90 <= 500ms: 500 (300 to ∞)")
    assert len(table) == len(FOUND.looks)


def test_what_was_found_is_a_sentence() -> None:
    assert capacity_words(FOUND) == (
        "max_rate 12.5 req/s (passes; 13.1 req/s fails), 95 % sure; 5 loads, 2,000 requests of 43,600 for every level"
    )
    assert capacity_words(replace(FOUND, low=nan, high=inf, reason="no level passes for sure, down to 1 req/s")) == (
        "max_rate not found; 5 loads, 2,000 requests of 43,600 for every level; no level passes for sure, down to 1 req/s"
    )
    assert capacity_words(replace(FOUND, high=inf, confidence=0.0)).startswith("max_rate 12.5 req/s (passes); 5 loads")

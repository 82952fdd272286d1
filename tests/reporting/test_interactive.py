from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.reporting.case_charts import distribution_charts
from pytest_inferbench.reporting.chart import Chart
from pytest_inferbench.reporting.interactive import asset, chart_data, embedded, packed, still_chart, unpacked
from pytest_inferbench.reporting.overview_charts import comparison_charts, groups, pareto_chart
from pytest_inferbench.reporting.per_request import requests_of
from pytest_inferbench.reporting.timeline import timeline_charts
from tests.reporting.examples import HOSTILE, whole_run

SCRIPTS = ("chart.js", "overview.js", "report.js")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
)


def every_chart() -> list[Chart]:
    examples = whole_run()
    found = groups([record for record, _ in examples])
    charts = [*comparison_charts(found), pareto_chart(found)]
    for record, traces in examples:
        if traces is not None:
            charts += [*distribution_charts(record, requests_of(traces)), *timeline_charts(record, traces)]
    return charts


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.tags.append(tag)


def test_a_chart_is_data_without_what_it_lacks() -> None:
    for chart in every_chart():
        data = json.loads(json.dumps(chart_data(chart), allow_nan=False))
        assert [len(series["x"]) for series in data["series"]] == [len(series.x) for series in chart.series if series.x]
        assert all(len(series["to"]) == len(series["x"]) for series in data["series"] if series["style"] in {"bars", "spans"})
        assert data.get("simulated", False) == chart.simulated
        assert "" not in data.values()


@given(JSON)
def test_embedded_json_is_the_same_to_whoever_reads_it(value: object) -> None:
    assert json.loads(embedded(value)) == value


@given(st.text())
def test_no_words_end_the_script_they_are_embedded_in(words: str) -> None:
    text = embedded({"name": f"</script><!--{words}{{{{ 1 }}}}\u2028"})
    assert not re.search("[<>&'\u2028\u2029]", text)


@given(JSON)
def test_what_was_packed_comes_out_and_means_nothing_to_a_page(value: object) -> None:
    text = packed(value)
    assert unpacked(text) == value
    assert re.fullmatch("[A-Za-z0-9+/=]*", text)


def test_words_that_are_no_text_are_packed_all_the_same() -> None:
    assert unpacked(packed({"name": "a\ud800b"})) == {"name": "a?b"}


def test_a_still_chart_shows_itself_without_any_script() -> None:
    for chart in every_chart():
        tags = Tags(still_chart(chart)).tags
        assert "svg" in tags
        assert "script" not in tags


def test_words_of_others_stay_words_in_a_still_chart() -> None:
    chart = every_chart()[0]
    hostile = replace(chart, title=HOSTILE, note=HOSTILE, series=(replace(chart.series[0], name=HOSTILE, hover=()),))
    assert not {"img", "script"} & set(Tags(still_chart(hostile)).tags)


def test_our_assets_can_stand_inside_a_script_or_style() -> None:
    for name in SCRIPTS:
        assert "</script" not in asset(name).lower()
        assert "<!--" not in asset(name)
    assert "</style" not in asset("report.css").lower()


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_make_markup_of_nothing_but_what_was_escaped_in_python(name: str) -> None:
    found = re.findall(r"\S*(?:innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function)\S*", asset(name))
    assert found == (["place.innerHTML"] if name == "report.js" else [])


def test_nothing_of_ours_is_fetched_from_a_network() -> None:
    for name in (*SCRIPTS, "report.css"):
        lines = [line for line in asset(name).splitlines() if not line.strip().startswith("//")]
        assert [line for line in lines if "//" in line and "http://www.w3.org/2000/svg" not in line] == []


def test_the_report_has_no_library_in_it() -> None:
    assert sum(len(asset(name)) for name in (*SCRIPTS, "report.css")) < 120_000

from __future__ import annotations

from dataclasses import dataclass, replace
from html.parser import HTMLParser
from math import inf, nan

import pytest

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.load.audit import Finding
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.objectives.verdict import Verdict
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.case_page import CaseFiles, case_data, figure_cells, interval_words
from pytest_inferbench.reporting.figures import NOTHING
from tests.reporting.examples import HOSTILE, all_failed, broken_record, busy_traces, hostile_record, record, steady_traces

FILES = CaseFiles(links=(("manifest.json", "case folder/manifest.json"),), log_tail="loading\nready <b>")


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "

    def names(self) -> set[str]:
        return {name for name, _ in self.tags}


def case_html(record: Record, traces: Traces | None, files: CaseFiles) -> str:
    return str(case_data(record, traces, files)["html"])


def page(**changes: object) -> Page:
    traces = steady_traces()
    return Page(case_html(replace(record(traces), **changes), traces, FILES))  # type: ignore[arg-type] # fields by name


def test_a_case_shows_objectives_metrics_counts_audit_server_log_and_files() -> None:
    text = page().text
    for words in (
        "cpu-llamacpp-smollm2-135m-tp1-d128x64-c4",
        "ttft_p99 <= 250 ms",
        "100 ms",
        "≤ 250 ms",
        "-60.0 %",
        "time to first token",
        "output token throughput",
        "46.4 tok/s",
        "attempted",
        "The client found nothing that could change the figures.",
        "llama-server --model '/models/a model.gguf' --parallel 4",
        "ready after 1.3 s",
        "ready <b>",
        'pytest suites/ -k "cpu-llamacpp-smollm2-135m-tp1-d128x64-c4"',
    ):
        assert words in text, words


def test_a_case_has_a_place_for_each_kind_of_chart() -> None:
    traces = steady_traces()
    found = case_data(record(traces), traces, FILES)
    places = [attrs["data-charts"] for _, attrs in Page(found["html"]).tags if "data-charts" in attrs]
    assert places == list(found["charts"]) == ["distribution", "timeline", "requests"]
    assert [len(charts) for charts in found["charts"].values()] == [4, 3, 1]


def test_charts_that_are_not_there_have_no_place() -> None:
    found = case_data(record(all_failed()), all_failed(), FILES)
    places = [attrs["data-charts"] for _, attrs in Page(found["html"]).tags if "data-charts" in attrs]
    assert places == list(found["charts"]) == ["timeline", "requests"]


def test_the_machine_that_sent_the_load_is_there() -> None:
    files = replace(FILES, environment={"cpu_model": "A Processor", "cores": 2, "packages": {"numpy": "2.0"}})
    text = Page(case_html(record(), steady_traces(), files)).text
    assert "A Processor" in text
    assert "numpy 2.0" in text


@dataclass(frozen=True, kw_only=True)
class Bounds:
    low: float
    high: float
    unit: str = "ms"


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (Bounds(low=90, high=110), "90.0 ms to 110 ms"),
        (Bounds(low=nan, high=nan), NOTHING),
        (Bounds(low=90, high=inf), "at least 90.0 ms"),
        (Bounds(low=-inf, high=110), "at most 110 ms"),
        (Bounds(low=-inf, high=inf), NOTHING),
    ],
)
def test_an_interval_is_said_as_far_as_it_is_known(bounds: Bounds, words: str) -> None:
    assert interval_words(bounds) == words  # type: ignore[arg-type]  # the parts of a judgement that are asked for


def test_links_go_to_files_also_with_blanks_in_their_names() -> None:
    assert ("a", {"href": "case%20folder/manifest.json"}) in page().tags


def test_findings_of_the_audit_come_with_advice_and_those_that_invalidate_stand_out() -> None:
    shown = page(findings=(Finding(what="sends were late", advice="use more load processes", invalidates=True),))
    assert "sends were late" in shown.text
    assert "use more load processes" in shown.text
    assert ("li", {"class": "ib-bad"}) in shown.tags


def test_a_simulated_case_says_so() -> None:
    assert "SIMULATED" not in page().text
    assert "SIMULATED" in page(simulated=True).text


def test_a_case_that_broke_shows_the_error_and_no_figures() -> None:
    shown = Page(case_html(broken_record(), None, CaseFiles()))
    assert "llama_model_load: error loading model" in shown.text
    assert "Metrics" not in shown.text
    assert "svg" not in shown.names()


def test_what_broke_is_said_once_on_its_page() -> None:
    broken = broken_record()
    assert broken.error is not None
    said = Verdict(outlook=broken.verdict.outlook, judgements=(), reasons=(broken.error, "2 of 4 requests did not complete"))
    text = Page(case_html(replace(broken, verdict=said), None, CaseFiles())).text
    assert text.count("llama_model_load") == 1
    assert "2 of 4 requests did not complete" in text


def test_a_case_without_objectives_says_what_passing_means() -> None:
    verdict = Verdict(outlook=record().verdict.outlook, judgements=())
    assert "it passes when it can be measured" in page(verdict=verdict).text


def test_words_of_others_stay_words() -> None:
    traces = busy_traces(requests=4)
    files = CaseFiles(links=((HOSTILE, f"javascript:{HOSTILE}"),), log_tail=HOSTILE)
    html = case_html(hostile_record(traces), traces, files)
    shown = Page(html)
    assert not {"img", "script"} & shown.names()
    assert "\x1b" not in html
    assert shown.text.count('<img src=x onerror="alert(1)">') >= 10


def test_the_row_of_a_case_has_its_key_figures_and_that_of_a_broken_one_dashes() -> None:
    assert [(name, text) for name, text, _ in figure_cells(record())] == [
        ("ttft_p99", "100"),
        ("tpot_p50", "20.0"),
        ("output_throughput", "46.4"),
    ]
    assert [text for _, text, _ in figure_cells(broken_record())] == [NOTHING] * 3


def test_tokens_that_nobody_counted_are_no_number() -> None:
    whole = record(steady_traces())
    assert whole.summary is not None
    scalars = {**whole.summary.scalars, "output_throughput": nan, "total_throughput": nan}
    case = replace(whole.case, api_options=ApiOptions(stream=False))
    text = page(case=case, summary=replace(whole.summary, output_tokens=0, scalars=scalars)).text
    assert f"output tokens {NOTHING} " in text
    assert f"prompt tokens {whole.summary.prompt_tokens:,} " in text
    assert "API chat, not streamed" in text

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from math import nan

from pytest_inferbench.cases.case import ApiOptions
from pytest_inferbench.load.audit import Finding
from pytest_inferbench.objectives.verdict import Verdict
from pytest_inferbench.reporting.case_page import CaseFiles, case_html, figure_cells
from pytest_inferbench.reporting.figures import NOTHING
from tests.reporting.examples import HOSTILE, broken_record, busy_traces, hostile_record, record, steady_traces

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


def test_a_case_has_three_charts() -> None:
    assert sum("inferbench-chart" in (attrs.get("class") or "") for _, attrs in page().tags) == 3


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

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.reporting.html import (
    Shown,
    case_extras,
    escape_test_id,
    report_title,
    results_summary,
    table_header,
    table_row,
    take_packed,
)
from pytest_inferbench.reporting.interactive import unpacked
from tests.reporting.examples import HOSTILE, broken_record, busy_traces, case, hostile_record, record, steady_traces
from tests.reporting.fabricated import TEST_FILE

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PLUGIN = ("-p", "no:inferbench", "-p", "tests.reporting.fabricated")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(test_cases=TEST_FILE, test_ordinary="def test_ordinary(): pass\n")
    return pytester


def shown_tests(report: Path) -> dict[str, list[dict[str, Any]]]:
    """What the report shows, by node id, out of the JSON from which pytest-html fills its table."""
    blob = re.search(r'data-jsonblob="([^"]*)"', report.read_text(encoding="utf-8"))
    assert blob is not None
    found: dict[str, list[dict[str, Any]]] = json.loads(unescape(blob[1]))["tests"]
    return found


def shown(extras: list[dict[str, Any]]) -> str:
    """The HTML of the case among the extras."""
    return str(unpacked(take_packed(extras, 0))["html"])


@pytest.mark.parametrize("mode", [("-p", "no:xdist"), ("-n0",), ("-n2",)], ids=["no xdist", "n0", "n2"])
def test_a_run_with_cases_leaves_one_report_beside_its_results(project: pytest.Pytester, mode: tuple[str, ...]) -> None:
    result = project.runpytest_subprocess(*PLUGIN, *mode)
    result.assert_outcomes(passed=8, failed=4, xfailed=1)
    report = project.path / "run" / "report.html"
    result.stdout.fnmatch_lines([f"*Generated html report: {report.as_uri()}*"])
    text = report.read_text(encoding="utf-8")
    assert text.count('id="ib-run"') == 1
    assert "<title" in text
    assert "7 of 12 cases pass; 1 could not be measured, 2 missed an objective, 1 had too few" in text
    assert "to tell, 1 failed as expected." in text
    tests = shown_tests(report)
    assert len(tests) == 13
    assert re.search(r"12 tests took|13 tests took", text)
    (passed,) = (rows[0] for node_id, rows in tests.items() if "d128x64-c4]" in node_id)
    place = int(re.findall('<div class="ib-slot" data-case="([0-9]+)"></div>', passed["extras"][0]["content"])[0])
    packed = re.findall('id="ib-packed-cases">([^<]*)<', text)[0].split("\n")
    assert len(packed) == 12
    case_shown = unpacked(packed[place])
    assert "d128x64-c4" in case_shown["html"]
    assert [len(charts) for charts in case_shown["charts"].values()] == [4, 4, 1]
    assert "1 is worse than in main." in text
    assert '<td class="col-ttft_p99 ' in "".join(passed["resultsTableRow"])


def test_an_ordinary_run_leaves_no_report_and_no_folder(project: pytest.Pytester) -> None:
    project.runpytest_subprocess(*PLUGIN, "test_ordinary.py").assert_outcomes(passed=1)
    assert not (project.path / "run").exists()
    assert not list(project.path.rglob("*.html"))


def test_collecting_only_leaves_no_report(project: pytest.Pytester) -> None:
    assert project.runpytest_subprocess(*PLUGIN, "--collect-only", "-q").ret == 0
    assert not (project.path / "run").exists()


def test_without_pytest_html_the_run_is_the_same_less_the_report(project: pytest.Pytester) -> None:
    project.runpytest_subprocess(*PLUGIN, "-p", "no:html").assert_outcomes(passed=8, failed=4, xfailed=1)
    assert not list(project.path.rglob("*.html"))


def test_a_report_that_was_asked_for_is_the_only_one(project: pytest.Pytester) -> None:
    project.runpytest_subprocess(*PLUGIN, "--html=mine.html", "--self-contained-html", "-k", "d128x64-c4 or ordinary")
    assert [path.name for path in project.path.rglob("*.html")] == ["mine.html"]
    assert "The only case passes." in (project.path / "mine.html").read_text(encoding="utf-8")


def test_what_could_not_be_collected_is_in_the_report_too(project: pytest.Pytester) -> None:
    project.makepyfile(test_broken="import nothing_of_this_name\n")
    project.runpytest_subprocess(*PLUGIN, "--continue-on-collection-errors", "-k", "d128x64-c4 or broken")
    tests = shown_tests(project.path / "run" / "report.html")
    assert "nothing_of_this_name" in tests["test_broken.py"][0]["log"]


def test_a_report_that_cannot_be_written_changes_nothing_else(project: pytest.Pytester) -> None:
    (project.path / "run").mkdir()
    (project.path / "run" / "report.html").mkdir()
    result = project.runpytest_subprocess(*PLUGIN, "-k", "d128x64-c4")
    result.assert_outcomes(passed=1, deselected=12)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["the HTML report could not be written: *report.html*"])


def test_the_extras_of_a_case_are_plain_json() -> None:
    traces = busy_traces(requests=5)
    extras = case_extras(hostile_record(traces), traces, run_dir=Path("nowhere"))
    assert json.loads(json.dumps(extras)) == extras
    assert [extra["format_type"] for extra in extras] == ["html"]
    assert re.fullmatch('<div class="ib-packed" hidden>[A-Za-z0-9+/=]*</div>', extras[0]["content"])


def test_a_case_is_taken_out_of_its_row_and_leaves_its_place() -> None:
    extras = [{"name": "mine", "content": "<b>kept</b>"}, *case_extras(record(), steady_traces(), run_dir=Path("nowhere"))]
    found = take_packed(extras, 7)
    assert "steady" not in found
    assert "time to first token" in unpacked(found)["html"]
    assert [extra["content"] for extra in extras] == ["<b>kept</b>", '<div class="ib-slot" data-case="7"></div>']
    assert take_packed([{"name": "mine", "content": "<b>kept</b>"}], 7) == ""


def test_links_and_log_are_those_in_the_folder_of_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "r1" / record().folder
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    (folder / "server.log").write_text("".join(f"line {number}\n" for number in range(100)), encoding="utf-8")
    extras = case_extras(record(), steady_traces(), run_dir=tmp_path / "runs" / "r1", report=tmp_path / "out" / "a.html")
    content = shown(extras)
    assert f'href="../runs/r1/{record().folder}/manifest.json"' in content
    assert content.count("server.log</a>") == 1
    assert "line 60\n" in content
    assert "line 59\n" not in content


def test_secrets_stay_out_of_the_report(tmp_path: Path) -> None:
    served = record().served
    assert served is not None
    folder = tmp_path / record().folder
    folder.mkdir()
    (folder / "server.log").write_text("started with --api-key sk-from-the-log\n", encoding="utf-8")
    secret = replace(record(), served=replace(served, command=("serve", "--api-key", "sk-from-the-command")))
    content = shown(case_extras(secret, steady_traces(), run_dir=tmp_path))
    assert "started with --api-key" in content
    assert "sk-from" not in content


def test_a_log_that_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    assert "end of its log" not in shown(case_extras(broken_record(), None, run_dir=tmp_path))


def test_a_row_has_as_many_cells_as_the_head_for_cases_and_ordinary_tests() -> None:
    head, row, ordinary = (["result", "test", "duration", "links"] for _ in range(3))
    table_header(head)
    table_row(row, record())
    table_row(ordinary, None)
    assert len(head) == len(row) == len(ordinary) == 8
    assert [re.sub("<[^>]*>", "", cell) for cell in row[2:6]] == ["pass", "100", "20.0", "46.4"]
    assert [re.sub("<[^>]*>", "", cell) for cell in ordinary[2:6]] == ["", "", "", ""]


def test_cells_sort_as_numbers_though_they_are_compared_as_text() -> None:
    def key(ttft_ms: float) -> str:
        row = ["result", "test"]
        table_row(row, record(busy_traces(requests=3, concurrency=round(ttft_ms))))
        # What pytest-html takes from a cell to compare it.
        found = re.search(r"<td.*?>(.*?)</td>", row[3])
        assert found is not None
        return found[1]

    keys = [key(concurrency) for concurrency in (1, 5, 60)]
    missing = ["result", "test"]
    table_row(missing, broken_record())
    assert sorted(keys) == keys
    assert "<!--~-->" in missing[3]


def test_an_id_in_the_table_is_text() -> None:
    cells = ["<td>first</td>", f'<td class="col-testId">suite::{HOSTILE}</td>']
    escape_test_id(cells)
    assert cells[0] == "<td>first</td>"
    assert "<img" not in cells[1]
    assert unescape(cells[1]) == f'<td class="col-testId">suite::{HOSTILE}</td>'


def test_nothing_is_put_on_top_of_a_report_without_cases() -> None:
    prefix: list[str] = []
    postfix: list[str] = []
    results_summary(prefix, postfix, Shown(records=()))
    assert (prefix, postfix) == ([], [])


def test_the_title_says_how_many_cases_passed() -> None:
    records = [record(), record(of_case=case("b"), ttft_limit_ms=1)]
    assert report_title(records) == "Inference benchmarks · 1 of 2 pass"

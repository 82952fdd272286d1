"""Whole sessions of pytest against a server that answers as it should."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from xml.etree import ElementTree as ET

import pyarrow.parquet as pq
import pytest

from pytest_inferbench.load.loopback import Loopback
from pytest_inferbench.reporting import progress
from tests.sessions import INI, LIMIT_S, QUICK, STEADY, STEADY_TTFT_MS, files_of, only_run, own_server, pytest_argv, suite

pytest_plugins = ["pytester"]

PYTHON_SUITE = """
import pytest

@pytest.mark.inferbench(
    hardware="cpu", engine="openai", model=["loopback"], traffic=["D(8,4)"], concurrency=[1], requests=4,
    slo=["ttft_p99 <= 30s"], confidence="observed",
)
def test_chat(case, measure, endpoint):
    assert endpoint.model == "loopback"
    result = measure(case)
    assert result.meets_slo, result.explain()
    assert result.summary.distributions["ttft"].count == 4
"""
FIRST, SECOND, MARKED = (
    "quick.bench.yaml::cpu-openai-loopback-tp1-d8x4-c1",
    "quick.bench.yaml::cpu-openai-loopback-tp1-d8x4-c2",
    "test_chat.py::test_chat[cpu-openai-loopback-tp1-d8x4-c1]",
)
CASE_FILES = ["manifest.json", "metrics.csv", "requests.parquet", "summary.json", "throughput_latency.png"]
CSV_COLUMNS = [
    *("request_id", "enqueue_time", "send_time", "first_byte_time", "end_time", "prompt_tokens", "resp_tokens"),
    *("bytes_received", "status", "error", "intended_send_ns", "send_ns", "first_byte_ns", "first_token_ns", "last_token_ns"),
    *("end_ns", "clock"),
]


@pytest.fixture(scope="module")
def quick() -> Iterator[Loopback]:
    with Loopback.start(QUICK) as running:
        yield running


@pytest.fixture(scope="module")
def steady() -> Iterator[Loopback]:
    with Loopback.start(STEADY) as running:
        yield running


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini(INI)
    (pytester.path / "quick.bench.yaml").write_text(suite(), encoding="utf-8")
    return pytester


def run(project: pytest.Pytester, server: Loopback, *arguments: str) -> pytest.RunResult:
    return project.runpytest("-p", "no:xdist", f"--inferbench-endpoint={server.url}", *arguments)


def records(root: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((only_run(root) / "results.json").read_text(encoding="utf-8"))["records"]
    return found


@pytest.mark.parametrize(
    "mode",
    [(), ("-n0",), ("-n2",), ("-p", "no:xdist"), ("-p", "no:html"), ("-p", "no:terminal"), ("-q",), ("-v",), ("-s",)],
    ids=" ".join,
)
def test_a_suite_of_both_kinds_passes_in_every_mode(project: pytest.Pytester, quick: Loopback, mode: tuple[str, ...]) -> None:
    (project.path / "quick.bench.yaml").write_text(suite(concurrency="2"), encoding="utf-8")
    project.makepyfile(test_chat=PYTHON_SUITE)
    start = project.runpytest_subprocess if mode == ("-n2",) else project.runpytest_inprocess
    result = start(f"--inferbench-endpoint={quick.url}", *mode)
    assert result.ret == 0, result.outlines
    assert {str(record["node_id"]) for record in records(project.path)} == {SECOND, MARKED}
    where = only_run(project.path)
    assert (where / "report.html").exists() == ("no:html" not in mode)
    text = result.stdout.str()
    if "no:terminal" in mode:
        assert text == ""
        return
    assert f"results: {where}" in text
    assert "2 cases: 2 pass" in text
    assert text.count("cpu-openai-loopback-tp1-d8x4-c2 pass ") == (0 if "-q" in mode else 2)
    assert (
        "note: prompt lengths are estimated: no tokenizer was given (all 2 cases); give one with --inferbench-tokenizer" in text
    )


def test_every_file_of_a_run_is_there(project: pytest.Pytester, quick: Loopback) -> None:
    run(project, quick, "-k", "c2").assert_outcomes(passed=1, deselected=1)
    where = only_run(project.path)
    assert sorted(path.name for path in where.iterdir()) == [
        "cpu-openai-loopback-tp1-d8x4-c2",
        "report.html",
        "results.csv",
        "results.json",
        "results.parquet",
        "run.json",
        "summary.md",
    ]
    folder = where / "cpu-openai-loopback-tp1-d8x4-c2"
    assert sorted(path.name for path in folder.iterdir()) == CASE_FILES
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[: len(CSV_COLUMNS)] == CSV_COLUMNS
    assert len(rows) == pq.read_table(folder / "requests.parquet").num_rows == 4
    assert all(row["clock"] == "kernel" and row["status"] == "200" and row["error"] == "" for row in rows)
    assert all(int(row["send_ns"]) < int(row["first_token_ns"]) < int(row["last_token_ns"]) for row in rows)
    with (where / "results.csv").open(newline="") as file:
        (case,) = csv.DictReader(file)
    assert (case["node_id"], case["verdict"], case["completed"]) == (SECOND, "pass", "4")
    assert (project.path / "reports" / "latest").resolve() == where


def test_request_ids_join_the_record_with_the_servers_log(project: pytest.Pytester) -> None:
    with Loopback.start(QUICK) as server:
        run(project, server, "-k", "c1")
    with (only_run(project.path) / "cpu-openai-loopback-tp1-d8x4-c1" / "metrics.csv").open(newline="") as file:
        ids = {row["request_id"] for row in csv.DictReader(file)}
    assert len(ids) == 4
    # The warm-up request is in the server's log and in no figure.
    assert len(ids & set(server.log.sent)) == 4
    assert len([request_id for request_id in server.log.sent if request_id]) == 5


def test_selection_means_what_it_means_anywhere(project: pytest.Pytester, quick: Loopback) -> None:
    project.makepyfile(test_chat=PYTHON_SUITE, test_plain="def test_plain(): pass\n")
    chosen = {
        ("-k", "c2"): 1,
        ("-m", "case(concurrency=2)"): 1,
        ("-m", "case"): 3,
        ("-m", "inferbench"): 1,
        ("-k", "cpu and not c2"): 2,
        (SECOND,): 1,
        ("-m", "not case"): 1,
    }
    for arguments, count in chosen.items():
        listed = project.runpytest("-p", "no:xdist", "--collect-only", "-q", *arguments).outlines
        assert len([line for line in listed if "::" in line]) == count, arguments
    assert not (project.path / "reports").exists()
    run(project, quick, "-m", "not case").assert_outcomes(passed=1, deselected=3)
    assert not (project.path / "reports").exists()


def test_collecting_only_asks_no_server_and_leaves_no_folder(project: pytest.Pytester) -> None:
    result = project.runpytest("--collect-only", "--inferbench-endpoint=http://127.0.0.1:1", "--inferbench-output=out")
    result.stdout.fnmatch_lines(["*cpu-openai-loopback-tp1-d8x4-c1*", "*2 tests collected*"])
    assert not (project.path / "reports").exists()
    assert not (project.path / "out").exists()


def test_a_missed_objective_says_what_by_how_much_and_how_to_run_it_again(project: pytest.Pytester, steady: Loopback) -> None:
    (project.path / "quick.bench.yaml").write_text(suite(slo="ttft_p50 <= 100ms"), encoding="utf-8")
    result = run(project, steady, "-x")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    (missed,) = re.findall(r"SLO missed: ttft_ms_p50 = ([\d.]+), limit 100.0 \(\+([\d.]+) %\)", text)
    assert float(missed[0]) >= STEADY_TTFT_MS
    assert float(missed[1]) == pytest.approx((float(missed[0]) / 100 - 1) * 100, abs=1)
    assert "  case    cpu-openai-loopback-tp1-d8x4-c1      requests 4 sent, 4 ok, 0 failed" in text
    assert "Traceback" not in text
    assert "> " not in [line[:2] for line in result.outlines]
    (again,) = {line.split("again   ")[1] for line in result.outlines if "  again   " in line}
    assert again == f"pytest {FIRST} --inferbench-endpoint={steady.url}"


def test_the_command_that_runs_it_again_is_right_from_another_folder(
    project: pytest.Pytester, steady: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makepyfile(test_chat=PYTHON_SUITE.replace("30s", "100ms"))
    below = project.mkdir("below")
    monkeypatch.chdir(below)
    seeded = ("--inferbench-seed=3", "--inferbench-endpoint-model=loopback", "--inferbench-slo=e2e_p50 <= 30s")
    text = run(project, steady, "../test_chat.py", *seeded).stdout.str()
    (again,) = set(re.findall(r"again   (pytest .*)", text))
    assert again == (
        "pytest '../test_chat.py::test_chat[cpu-openai-loopback-tp1-d8x4-c1]'"
        f" --inferbench-endpoint={steady.url} --inferbench-endpoint-model=loopback --inferbench-seed=3"
        " '--inferbench-slo=e2e_p50 <= 30s'"
    )
    project.runpytest("-p", "no:xdist", *shlex.split(again)[1:]).assert_outcomes(failed=1)


def test_an_expected_miss_keeps_the_run_green_and_is_said(project: pytest.Pytester, steady: Loopback) -> None:
    text = suite(slo="ttft_p50 <= 100ms", concurrency="1", expected_miss="nothing is that fast")
    (project.path / "quick.bench.yaml").write_text(text, encoding="utf-8")
    result = run(project, steady, "-rx")
    result.assert_outcomes(xfailed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*missed ttft_p50 <= 100ms*", "*XFAIL*nothing is that fast*"])
    assert [record["node_id"] for record in records(project.path)] == [FIRST]


def test_an_expected_miss_that_does_not_come_is_news(project: pytest.Pytester, quick: Loopback) -> None:
    (project.path / "quick.bench.yaml").write_text(suite(concurrency="1", expected_miss="too slow"), encoding="utf-8")
    result = run(project, quick)
    result.assert_outcomes(failed=1)
    assert "[XPASS(strict)] too slow" in result.stdout.str()


def test_last_failed_and_durations_and_junit_work(project: pytest.Pytester, steady: Loopback) -> None:
    (project.path / "b.bench.yaml").write_text(suite("b", slo="ttft_p50 <= 100ms", concurrency="1"), encoding="utf-8")
    result = run(project, steady, "--junitxml=junit.xml", "--durations=3", "-k", "c1")
    result.assert_outcomes(passed=1, failed=1, deselected=1)
    result.stdout.fnmatch_lines(["*slowest 3 durations*", "*s call*bench.yaml::cpu-openai-loopback-tp1-d8x4-c1"])
    cases = ET.parse(project.path / "junit.xml").getroot().iter("testcase")  # noqa: S314 - our own file
    properties = [{each.get("name"): each.get("value") for each in case.iter("property")} for case in cases]
    assert [each["verdict"] for each in properties] == ["fail", "pass"]
    for each in properties:
        assert STEADY_TTFT_MS <= float(each["ttft_ms_p99"] or 0) < 10_000
        assert each["output_throughput_tokens_per_s"]
        assert (each["concurrency"], each["requests_completed"]) == ("1", "4")
    run(project, steady, "--lf", "-k", "c1").assert_outcomes(failed=1)


def test_the_same_seed_sends_the_same_and_no_seed_something_new(project: pytest.Pytester, quick: Loopback) -> None:
    def plan(*arguments: str) -> object:
        for old in (project.path / "reports").glob("runs/*"):
            old.rename(project.path / f"old-{old.name}")
        run(project, quick, "-k", "c1", *arguments)
        (record,) = records(project.path)
        planned = record["planned"]
        assert isinstance(planned, dict)
        return planned["sha256"]

    assert plan("--inferbench-seed=5") == plan("--inferbench-seed=5")
    assert plan() != plan()


def test_a_report_that_was_asked_for_has_columns_that_match(project: pytest.Pytester, quick: Loopback) -> None:
    project.makepyfile(test_a_plain="def test_plain(): pass\n")
    for mode in (("-p", "no:xdist"), ("-n2",)):
        start = project.runpytest_subprocess if mode == ("-n2",) else project.runpytest_inprocess
        result = start(f"--inferbench-endpoint={quick.url}", "--html=mine.html", "-k", "plain or c1", *mode)
        assert result.ret == 0
        assert result.stdout.str().count("Generated html report: ") == 1
        head, rows = table_of(project.path / "mine.html")
        assert len(head) == 8
        assert "TTFT p99 (ms)" in head
        assert [len(row) for row in rows] == [8, 8]
    assert not list((project.path / "reports").rglob("*.html"))


def test_the_report_of_an_ordinary_run_is_as_it_was(project: pytest.Pytester) -> None:
    project.makepyfile("def test_plain(): pass\n")
    project.runpytest_subprocess("-p", "no:xdist", "--html=mine.html", "-k", "plain").assert_outcomes(passed=1, deselected=2)
    head, rows = table_of(project.path / "mine.html")
    assert head == ["Result", "Test", "Duration", "Links"]
    assert [len(row) for row in rows] == [4]
    assert "inference" not in (project.path / "mine.html").read_text(encoding="utf-8").lower()


def table_of(report: Path) -> tuple[list[str], list[list[str]]]:
    """The heads of the report's table, and the cells of each row."""
    text = report.read_text(encoding="utf-8")
    (heading,) = re.findall(r'<thead id="results-table-head">(.*?)</thead>', text, re.DOTALL)
    head = [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<th[ >].*?</th>", heading)]
    blob = re.search(r'data-jsonblob="([^"]*)"', text)
    assert blob is not None
    tests = json.loads(unescape(blob[1]))["tests"]
    return head, [test["resultsTableRow"] for found in tests.values() for test in found]


def test_who_only_has_the_plugin_installed_does_not_notice(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        HEAVY = {"numpy", "pandas", "pyarrow", "matplotlib", "plotly", "httpx", "scipy", "tokenizers", "httptools", "orjson"}

        def test_plain():
            assert not HEAVY & set(sys.modules)
        """
    )
    before = sorted(path.name for path in files_of(pytester.path))
    result = pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:cacheprovider", "-p", "no:anyio")
    result.assert_outcomes(passed=1)
    assert "inferbench:" not in result.stdout.str()
    assert "inference benchmarks" not in result.stdout.str()
    after = sorted(
        path.name for path in files_of(pytester.path) if path.suffix != ".pyc" and path.name not in {"stdout", "stderr"}
    )
    assert after == before
    assert not (pytester.path / "reports").exists()


def test_extra_fields_of_a_suite_reach_the_wire(project: pytest.Pytester, quick: Loopback) -> None:
    # The loopback takes its number of tokens from a field of the request, so a changed one shows in the answer.
    text = suite(concurrency="1", extra_body="{max_tokens: 2, max_completion_tokens: 2}")
    (project.path / "quick.bench.yaml").write_text(text, encoding="utf-8")
    run(project, quick).assert_outcomes(passed=1)
    with (only_run(project.path) / "cpu-openai-loopback-tp1-d8x4-c1" / "metrics.csv").open(newline="") as file:
        assert {row["resp_tokens"] for row in csv.DictReader(file)} == {"2"}


def test_one_server_is_started_for_all_cases_of_its_kind_and_ended(project: pytest.Pytester) -> None:
    (project.path / "quick.bench.yaml").write_text(suite(engine=own_server()), encoding="utf-8")
    project.runpytest("-p", "no:xdist").assert_outcomes(passed=2)
    served = [record["served"] for record in records(project.path)]
    assert all(isinstance(each, dict) for each in served)
    urls = {each["url"] for each in served if isinstance(each, dict)}
    assert len(urls) == 1
    assert len(list((only_run(project.path) / "servers").iterdir())) == 1
    port = urls.pop().rpartition(":")[2]
    assert subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=False).stdout == ""


def test_an_engine_of_another_package_is_known(project: pytest.Pytester) -> None:
    (project.path / "quick.bench.yaml").write_text(suite(engine=own_server(name="mine"), concurrency="1"), encoding="utf-8")
    project.makeconftest(
        """
        from dataclasses import dataclass, replace
        from pytest_inferbench.engines.custom import CommandEngine

        @dataclass(frozen=True)
        class Mine:
            name: str = "mine"

            def server(self, case):
                return replace(CommandEngine().server(case), engine=self.name)

        def pytest_inferbench_engines(config):
            return [Mine()]
        """
    )
    project.runpytest_subprocess("-p", "no:xdist").assert_outcomes(passed=1)
    assert [record["case"]["engine"]["name"] for record in records(project.path)] == ["mine"]  # type: ignore[index]  # JSON


def test_on_a_terminal_progress_is_live_and_leaves_no_trace(project: pytest.Pytester, steady: Loopback) -> None:
    controller, terminal = pty.openpty()
    argv = pytest_argv("-p", "no:xdist", "-k", "c1", f"--inferbench-endpoint={steady.url}")
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        argv, cwd=project.path, stdout=terminal, stderr=terminal, stdin=subprocess.DEVNULL, env=environment
    )
    os.close(terminal)
    shown = b""
    try:
        while data := os.read(controller, 65536):
            shown += data
    except OSError:  # so Linux says that the other side is closed
        pass
    finally:
        os.close(controller)
    assert process.wait(LIMIT_S) == 0
    text = shown.decode()
    assert "\r[1/1] cpu-openai-loopback-tp1-d8x4-c1 starting server" in text
    assert "\r[1/1] cpu-openai-loopback-tp1-d8x4-c1 writing" in text
    assert "quick.bench.yaml \n" in text.replace("\r\n", "\n")
    # Cleared, back to where pytest left off, and then the letter of the test.
    assert re.search(r"\r\x1b\[J\x1b\[A\r\x1b\[17C(\x1b\[32m)?\.", text)
    assert "\x1b[K" not in text.rpartition("inference benchmarks")[2]


def test_captured_output_of_a_test_is_not_touched_by_progress(
    project: pytest.Pytester, quick: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makepyfile(test_chat=PYTHON_SUITE.replace("    result = measure", "    print('mine')\n    result = measure"))
    monkeypatch.setattr(progress, "_LOG_EVERY_S", 0.0)
    result = run(project, quick, "-rP", "test_chat.py", "-p", "no:html")
    result.assert_outcomes(passed=1)
    (start,) = (number for number, line in enumerate(result.outlines) if " Captured stdout call " in line)
    assert result.outlines[start + 1] == "mine"
    assert not result.outlines[start + 2].startswith("[1/1]")
    assert any(line.startswith("[1/1] cpu-openai-loopback-tp1-d8x4-c1") for line in result.outlines)


def test_python_errors_in_a_suite_keep_their_traceback(project: pytest.Pytester, quick: Loopback) -> None:
    project.makepyfile(test_chat=PYTHON_SUITE.replace("    result = measure", "    {}['nothing']\n    result = measure"))
    result = run(project, quick, "test_chat.py")
    result.assert_outcomes(failed=1)
    assert ">       {}['nothing']" in result.outlines


def test_a_test_that_measures_twice_has_both_in_the_results(project: pytest.Pytester, quick: Loopback) -> None:
    project.makepyfile(test_chat=PYTHON_SUITE.replace("    result = measure", "    measure(case)\n    result = measure"))
    run(project, quick, "test_chat.py").assert_outcomes(passed=1)
    assert len({record["folder"] for record in records(project.path)}) == 2


def test_what_is_no_case_cannot_be_measured(project: pytest.Pytester, quick: Loopback) -> None:
    project.makepyfile(test_it="def test_it(case, measure): measure(case)\n")
    result = run(project, quick, "test_it.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["'case' is for tests with @pytest.mark.inferbench(...) and for suite files; this test has neither"]
    )
    assert sys.executable not in result.stdout.str()

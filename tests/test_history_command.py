from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_inferbench.errors import RecordError
from pytest_inferbench.history_command import history
from pytest_inferbench.records.history import store
from pytest_inferbench.records.history.deliver import record_run
from pytest_inferbench.records.history.place import store_url
from pytest_inferbench.records.results import write_results
from tests.records.history.example_runs import EIGHT, FOUR, fill, record_of, rows_from


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, and a working folder with nothing in it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("INFERBENCH_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture
def url(data_home: Path) -> str:
    found = store_url()
    assert found is not None
    return found


@pytest.fixture
def filled(url: str) -> str:
    """Three runs of two cases, whose first tokens take 100, 400 and 600 ms; more than 500 is a fail."""
    fill(url, days=3, ttft_ms=[100, 400, 600])
    return url


def run_in(folder: Path, run_id: str = "run-1") -> Path:
    folder.mkdir()
    write_results(folder, [record_of(FOUR, run_id), record_of(EIGHT, run_id)])
    return folder


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(history, arguments)


def lines(*arguments: str) -> list[str]:
    done = invoke(*arguments)
    assert done.exit_code == 0, done.stderr
    return done.stdout.splitlines()


def words(line: str) -> str:
    return " ".join(line.split())


COMMANDS = (["list"], ["show", "latest"], ["diff", "a", "b"], ["trend", "ttft_p99"], ["slowest"], ["flakiest"], ["forget", "a"])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_without_a_history_every_question_says_how_to_get_one(command: list[str], data_home: Path) -> None:
    done = invoke(*command)
    assert done.exit_code == 2
    file = data_home / "pytest-inferbench" / "history.sqlite"
    assert f"there is no history yet at {file}: run a suite, or bring runs in with inferbench history import RUN" in done.stderr
    assert not file.exists()


@pytest.mark.parametrize("command", [*COMMANDS, ["import", "x"]], ids=lambda command: command[0])
def test_where_the_history_is_switched_off_it_says_so(command: list[str]) -> None:
    done = invoke(*command, "--store", "none")
    assert (done.exit_code, "the history is switched off (none); say which one with --store URL" in done.stderr) == (2, True)


def test_runs_are_listed_newest_first(filled: str) -> None:
    head, *rows = lines("list")
    assert head.split()[:3] == ["run", "started", "(UTC)"]
    assert [row.split()[0] for row in rows] == ["run-3", "run-2", "run-1"]
    assert rows[0].split()[1:] == ["2026-11-03", "06:00", "commit3", "main", "bench-1", "2", "0", "2", "0", "0", "0"]
    assert len(lines("list", "--limit", "2")) == 3


def test_programs_get_json_and_csv(filled: str) -> None:
    found = json.loads("\n".join(lines("list", "--format", "json")))
    assert [(run["run_id"], run["failed"]) for run in found] == [("run-3", 2), ("run-2", 0), ("run-1", 0)]
    rows = list(csv.DictReader(io.StringIO("\n".join(lines("list", "--format", "csv", "--where", "verdict=fail")))))
    assert [(row["run_id"], row["started_at"]) for row in rows] == [("run-3", "2026-11-03T06:00:00Z")]


def test_a_run_is_shown_with_its_cases(filled: str) -> None:
    shown = lines("show", "latest", "--metric", "ttft_p99", "--metric", "error_rate")
    assert shown[0] == "run:       run-3"
    assert "commit:    commit3" in shown
    head, first, second = shown[-3:]
    assert head.split() == ["case", "verdict", "ttft_p99", "(ms)", "error_rate", "(%)", "why"]
    assert first.split() == [FOUR.id, "fail", "600", "0", "ttft_p99", "<=", "500ms"]
    assert second.split()[0] == EIGHT.id
    found = json.loads("\n".join(lines("show", "run-1", "--format", "json", "-k", "c8")))
    assert found["run"]["commit"] == "commit1"
    assert [(case["case"], case["ttft_p99"]) for case in found["cases"]] == [(EIGHT.id, 100.0)]


def test_two_runs_are_shown_side_by_side(filled: str) -> None:
    shown = lines("diff", "run-2", "latest", "--metric", "ttft_p50", "-k", "c4")
    assert shown[:2] == ["old: run-2", "new: run-3"]
    assert words(shown[-1]) == f"{FOUR.id} ttft_p50 400 ms 600 ms +50.0 % pass -> fail"


def test_a_run_is_not_held_against_itself(filled: str) -> None:
    done = invoke("diff", "latest", "run-3")
    assert (done.exit_code, "latest and run-3 are the same run, run-3; name two" in done.stderr) == (2, True)


def test_a_trend_has_a_line_a_case_and_for_one_case_its_results(filled: str) -> None:
    every = lines("trend", "ttft_p50")
    assert [row.split()[:2] for row in every[1:]] == [[FOUR.id, "▁▅█"], [EIGHT.id, "▁▅█"]]
    one = lines("trend", "ttft_p50", "-k", "c8")
    assert words(one[1]) == f"{EIGHT.id} ▁▅█ 3 0 250 ms 600 ms +140 %"
    assert words(one[-1]) == "2026-11-03 06:00 run-3 commit3 main b7010 fail 600 ms"
    rows = json.loads("\n".join(lines("trend", "ttft_p50", "-k", "c8", "--last", "2", "--format", "json")))
    assert [(row["run_id"], row["value"], row["unit"]) for row in rows] == [("run-2", 400.0, "ms"), ("run-3", 600.0, "ms")]


def test_the_slowest_cases_are_shown(filled: str) -> None:
    assert words(lines("slowest")[1]).endswith(" wall_s 2.50 s 2.50 s 2.50 s 3")
    assert words(lines("slowest", "ttft_p50", "--limit", "1")[1]).endswith(" ttft_p50 400 ms 600 ms 600 ms 3")


def test_the_flakiest_cases_are_shown(url: str) -> None:
    for day, value in enumerate([100, 900, 100]):
        store.keep(url, rows_from([record_of(FOUR, f"run-{day}", day=day, ttft_ms=value)], commit="abc", dirty=True))
    assert words(lines("flakiest")[1]) == f"{FOUR.id} abc+ 3 2 100 % 2 pass, 1 fail 2026-11-03 06:00"


def test_where_nothing_is_flaky_it_says_so(filled: str) -> None:
    done = invoke("flakiest")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "no verdict has changed between runs of one commit under the same conditions\n"


def test_where_nothing_is_found_it_says_what_there_is_and_programs_get_nothing(filled: str) -> None:
    done = invoke("list", "--where", "hardware=h200", "--format", "json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, [])
    assert done.stderr == "no result has hardware=h200; there are: cpu, h100\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trend", "ttfp_p99"], "'ttfp_p99' is no figure of the history; did you mean ttft_p99"),
        (["show", "runn-1"], "there is no run 'runn-1' in the history; did you mean run-1"),
        (["list", "--where", "modell=x"], "--where: 'modell' is no field; did you mean model?"),
        (["list", "--since", "soon"], "--since: 'soon' is no time"),
        (["list", "--store", "file.db"], "--inferbench-store: 'file.db' is no URL of a database"),
        (["forget", "latest"], "latest is not the whole id of a run; to forget it: inferbench history forget run-3"),
    ],
)
def test_what_is_wrong_is_wrong_usage_and_says_what_would_be_right(filled: str, arguments: list[str], told: str) -> None:
    done = invoke(*arguments)
    assert (done.exit_code, told in done.stderr) == (2, True), done.stderr


def test_runs_are_brought_in_and_again_changes_nothing(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    assert lines("import", str(run)) == [f"run-1: 2 cases from {run}"]
    assert lines("import", str(run / "results.json")) == [f"run-1: 2 cases from {run / 'results.json'}"]
    assert [row.split()[0] for row in lines("list")[1:]] == ["run-1"]


def test_a_run_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    done = invoke("import", "nowhere", str(run_in(tmp_path / "run")))
    assert done.exit_code == 1
    assert done.stdout == f"run-1: 2 cases from {tmp_path / 'run'}\n"
    assert done.stderr == "not imported: there is no run nowhere; give the folder of a run, such as reports/latest\n"


def test_a_run_is_forgotten_whole(filled: str) -> None:
    assert lines("forget", "run-2") == ["forgotten: run-2 (2 cases of 2026-11-02T06:00:00Z)"]
    assert [row.split()[0] for row in lines("list")[1:]] == ["run-3", "run-1"]


def test_nothing_is_forgotten_where_one_is_not_there(filled: str) -> None:
    done = invoke("forget", "run-1", "run-77")
    assert (done.exit_code, "there is no run 'run-77'" in done.stderr) == (2, True)
    assert len(lines("list")) == 4


def test_runs_that_have_waited_are_sent_first(filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_url: str, _rows: object) -> None:
        raise RecordError("away")

    with monkeypatch.context() as patched:
        patched.setattr(store, "keep", away)
        record_run(tmp_path, url=filled, records=[record_of(FOUR, "run-7", day=9)])
        done = invoke("list")
        assert "run-7" not in done.stdout
        assert "note: 1 run waits for the history in" in done.stderr
    assert lines("list")[1].split()[0] == "run-7"


def test_a_password_is_not_shown() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    done = invoke("list", "--store", "postgresql://me:geheim@127.0.0.1:1/db")
    assert done.exit_code == 2
    assert "the history postgresql://REDACTED@127.0.0.1:1/db could not be opened" in done.stderr
    assert "geheim" not in done.output


def test_help_imports_no_database() -> None:
    code = (
        "import sys; from pytest_inferbench.history_command import history; history(['list', '--help'], standalone_mode=False);"
        " sys.exit([name for name in ('sqlalchemy', 'numpy', 'pandas', 'alembic') if name in sys.modules] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

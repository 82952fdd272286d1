"""From the command line to what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_inferbench.ab import Turn, Where, plan, run
from pytest_inferbench.ab_command import FAIL_ON
from pytest_inferbench.ab_run import Asked, Bench, Screen, differing, plan_json, selected_cases, tolerated_of, where_words
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.objectives.tolerance import parse_fail_on
from pytest_inferbench.records.baselines import Measured
from pytest_inferbench.records.run_directory import RunDirectory
from pytest_inferbench.variants import parse_variant
from tests.records.example import CASE
from tests.sessions import INI, own_server, suite
from tests.test_ab_comparison import TPOT, measured
from tests.test_source_trees import repository_in

ASKED = Asked(suites=("a.bench.yaml",), blocks=3)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text(INI.replace("addopts =", "addopts = --inferbench-repeats=3"), encoding="utf-8")
    (tmp_path / "a.bench.yaml").write_text(suite("a", engine=own_server(), concurrency="[1, 2]"), encoding="utf-8")
    return tmp_path


@pytest.mark.usefixtures("project")
def test_repeats_are_one_case_since_blocks_repeat_it() -> None:
    cases = selected_cases(ASKED)
    assert [case.id.rpartition("-")[2] for case in cases] == ["c1", "c2"]
    assert {case.repeat for case in cases} == {None}


def test_tolerances_are_those_asked_for_else_the_suites_else_the_usual_ones() -> None:
    own = replace(CASE, id="b-c1", fail_on=("ttft_p99:20%",))
    by_suite = tolerated_of(ASKED, [CASE, own])
    assert (by_suite.of(CASE.id), by_suite.of("b-c1")) == (parse_fail_on(FAIL_ON), parse_fail_on("ttft_p99:20%"))
    assert tolerated_of(replace(ASKED, fail_on="e2e_p50:1%"), [own]).of("b-c1") == parse_fail_on("e2e_p50:1%")


def test_what_differs_is_named_once_for_all_cases() -> None:
    changed = replace(CASE, model="qwen")
    assert differing([CASE, CASE], [changed, changed]) == (f"model {CASE.model} -> qwen",)


def test_the_plan_that_is_kept_has_no_secret(tmp_path: Path) -> None:
    variants = [parse_variant("base"), parse_variant("env.MY_API_KEY=verySecret1234567")]
    run_folder = RunDirectory(path=tmp_path, run_id="r1")
    kept = plan_json(replace(ASKED, build="make API_KEY=verySecret1234567"), run_folder, variants, [])
    assert (kept["run_id"], kept["blocks"], kept["fail_on"]) == ("r1", 3, FAIL_ON)
    assert "verySecret" not in str(kept)


def test_where_it_is_reads_as_a_sentence() -> None:
    slot = plan(4)[5]
    where = Where(slot=slot, case_id=CASE.id, blocks=4, done=5, total=16, left_s=120.0)
    assert where_words(where) == "block 2 of 4: A (run 6 of 16, about 2 min 00 s left)"
    assert where_words(replace(where, left_s=None)) == "block 2 of 4: A (run 6 of 16)"


def test_after_each_block_it_says_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    told = Screen(quiet=False).following([CASE.id], TPOT)
    run(plan(2), [CASE.id], measure=lambda slot, _: measured(slot, slower=1.1), told=told)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "block 1 of 2: A (run 1 of 8)"
    assert lines[4].startswith("so far: tpot_p50 +10.0 % (")
    assert len(lines) == 9


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(quiet=True)
    told = screen.following([CASE.id], TPOT)
    run(plan(2), [CASE.id], measure=lambda slot, _: measured(slot), told=told)
    screen.say("anything")
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("project")
def test_a_bench_measures_cases_of_one_server_together_and_ends_with_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(CASE, id="other-c1", model="qwen")
    asked: list[tuple[str, int]] = []

    def taken(slot: object, case_id: str) -> Measured:
        asked.append((case_id, len(asked)))
        if len(asked) == 10:
            raise KeyboardInterrupt
        return measured(plan(1)[0])

    with Bench(replace(ASKED, quiet=True)) as bench:
        monkeypatch.setattr(bench.session, "measure", taken)
        cases = [CASE, replace(CASE, id="same-c2"), other]
        turns = bench.measured(cases, plan=plan(1), tolerated=TPOT)
        assert [case_id for case_id, _ in asked[:4]] == [CASE.id, "same-c2", CASE.id, "same-c2"]
        assert (turns.interrupted, [turn.case_id for turn in turns.taken].count("other-c1")) == (True, 1)


def test_a_commit_that_a_suite_does_not_point_to_is_said(project: Path) -> None:
    repository = repository_in(project / "repo")
    pointing = replace(CASE, engine=replace(CASE.engine, extra_args=("{tree}/serve.py",)))
    with Bench(replace(ASKED, repository=repository, quiet=True)) as bench:
        (case,) = bench.changed([pointing], parse_variant("commit=v1"))
        assert (Path(case.engine.extra_args[0]).parent / "n").read_text() == "1\n"
        assert bench.session.notices == []
        for _ in range(2):
            bench.changed([pointing, CASE], parse_variant("commit=v1"))
        (notice,) = bench.session.notices
    assert notice.startswith("a suite that does not say {tree} finds a commit by PYTHONPATH and PATH alone")


@pytest.mark.usefixtures("project")
def test_a_folder_that_is_taken_names_the_option() -> None:
    Path("out").mkdir()
    (Path("out") / "results.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        Bench(replace(ASKED, output=Path("out")))
    assert "choose another folder with --output" in str(error.value)


def test_turns_of_other_cases_do_not_count_as_known() -> None:
    heard: list[Sequence[Turn[Measured]]] = []
    run(plan(1), ["a", "b"], measure=lambda slot, _: measured(slot), told=lambda _, taken: heard.append(taken))
    assert [len(taken) for taken in heard] == list(range(8))

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.history import store
from pytest_inferbench.records.history.database import reading
from pytest_inferbench.records.history.filters import Filter, figure_column
from pytest_inferbench.records.history.queries import CaseLine, DiffLine, case_lines, diff, find_run, iso, run_lines
from tests.records.history.example_runs import EIGHT, FOUR, broken_of, fill, record_of, rows_from

FIGURES = [figure_column(name) for name in ("ttft_p50", "error_rate")]


def cases_of(url: str, run_id: str) -> list[CaseLine]:
    with reading(url) as connection:
        return case_lines(connection, run_id, FIGURES, Filter())


def diff_of(url: str, old: str, new: str) -> list[DiffLine]:
    return [line for line in diff(cases_of(url, old), cases_of(url, new), FIGURES) if line.figure == "ttft_p50"]


def test_runs_come_newest_first_and_count_their_verdicts(url: str) -> None:
    fill(url, days=2, ttft_ms=[100, 900])
    with reading(url) as connection:
        found = run_lines(connection, Filter(), limit=9)
    assert [(run.run_id, run.cases, run.passed, run.failed, run.invalid) for run in found] == [
        ("run-2", 2, 0, 2, 0),
        ("run-1", 2, 2, 0, 0),
    ]
    assert (found[1].started_at, found[1].commit, found[1].branch, found[1].host) == (
        "2026-11-01T06:00:00Z",
        "commit1",
        "main",
        "bench-1",
    )


def test_no_more_runs_than_asked_for(url: str) -> None:
    fill(url, days=3)
    with reading(url) as connection:
        assert [run.run_id for run in run_lines(connection, Filter(), limit=1)] == ["run-3"]


def test_simulated_cases_are_counted_apart(url: str) -> None:
    store.keep(url, rows_from([replace(record_of(FOUR, "run-1"), simulated=True), record_of(EIGHT, "run-1")]))
    with reading(url) as connection:
        (run,) = run_lines(connection, Filter(), limit=1)
    assert (run.cases, run.simulated) == (2, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("run-2", "run-2"), ("latest", "run-4"), ("latest~1", "run-3"), ("latest~3", "run-1")],
)
def test_a_run_is_found_by_its_id_and_by_its_age(url: str, text: str, expected: str) -> None:
    fill(url, days=4)
    with reading(url) as connection:
        assert find_run(connection, text).run_id == expected


def test_a_whole_id_is_meant_before_those_that_begin_with_it(url: str) -> None:
    store.keep(url, rows_from([record_of(FOUR, "run-1")]))
    store.keep(url, rows_from([record_of(FOUR, "run-12")]))
    with reading(url) as connection:
        assert find_run(connection, "run-1").run_id == "run-1"


def test_the_beginning_of_an_id_is_enough(url: str) -> None:
    store.keep(url, rows_from([record_of(FOUR, "20261122-074501-3f9c")]))
    with reading(url) as connection:
        assert find_run(connection, "20261122").run_id == "20261122-074501-3f9c"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("run-", "several runs begin with 'run-': run-3, run-2, run-1; write more of it"),
        ("runn-2", "there is no run 'runn-2' in the history; did you mean run-2 or"),
        ("20270101", "there is no run '20270101' in the history; the newest is run-3; inferbench history list shows them all"),
        ("latest~9", "there is no run 'latest~9' in the history; the newest is run-3"),
        ("", "there is no run '' in the history; the newest is run-3"),
        ("run-%", "there is no run 'run-%' in the history; did you mean"),
    ],
)
def test_a_run_that_is_not_there_is_answered_with_the_nearest(url: str, text: str, words: str) -> None:
    fill(url, days=3)
    with reading(url) as connection, pytest.raises(ConfigError, match=re.escape(words)):
        find_run(connection, text)


def test_in_an_empty_history_it_says_how_to_fill_it(url: str) -> None:
    store.forget(url, [])
    with reading(url) as connection, pytest.raises(ConfigError, match="the history holds no run yet: run a suite"):
        find_run(connection, "latest")


def test_cases_have_their_figures_and_why_they_ended_so(url: str) -> None:
    store.keep(url, rows_from([record_of(FOUR, "run-1", ttft_ms=900), broken_of(EIGHT, "run-1", day=1)]))
    slow, broken = cases_of(url, "run-1")
    assert (slow.case, slow.verdict, slow.words) == (FOUR.id, "fail", "ttft_p99 <= 500ms")
    assert slow.figures == {"ttft_p50": 900.0, "error_rate": 0.0}
    assert (broken.case, broken.figures["ttft_p50"]) == (EIGHT.id, None)
    assert broken.words.startswith("engine died: no memory")


def test_two_runs_stand_side_by_side_with_their_relative_change(url: str) -> None:
    fill(url, days=2, ttft_ms=[400, 600])
    first, second = diff_of(url, "run-1", "run-2")
    assert (first.case, second.case) == (FOUR.id, EIGHT.id)
    assert (first.old, first.new, first.unit) == (400.0, 600.0, "ms")
    assert first.change_percent == pytest.approx(50.0)
    assert (first.old_verdict, first.new_verdict, first.note) == ("pass", "fail", "")


def test_a_figure_that_was_nothing_has_no_relative_change(url: str) -> None:
    fill(url, days=2)
    lines = diff(cases_of(url, "run-1"), cases_of(url, "run-2"), FIGURES)
    assert {line.change_percent for line in lines if line.figure == "error_rate"} == {None}


def test_a_case_of_one_run_only_says_so(url: str) -> None:
    store.keep(url, rows_from([record_of(FOUR, "a")]))
    store.keep(url, rows_from([record_of(EIGHT, "b")]))
    new, old = diff_of(url, "a", "b")
    assert (new.case, new.old, new.old_verdict, new.note) == (EIGHT.id, None, None, "only in the new run")
    assert (old.case, old.new, old.new_verdict, old.note) == (FOUR.id, None, None, "only in the old run")


def test_repeats_are_paired_in_the_order_in_which_they_began(url: str) -> None:
    for run_id, values in (("a", (100, 200)), ("b", (110, 220, 330))):
        records = [replace(record_of(FOUR, run_id, day=i, ttft_ms=value), folder=f"f{i}") for i, value in enumerate(values)]
        store.keep(url, rows_from(records))
    assert [(line.old, line.new) for line in diff_of(url, "a", "b")] == [(100.0, 110.0), (200.0, 220.0), (None, 330.0)]


def test_what_is_invalid_is_not_compared(url: str) -> None:
    bad = record_of(FOUR, "b")
    store.keep(url, rows_from([record_of(FOUR, "a")]))
    store.keep(url, rows_from([replace(bad, verdict=replace(bad.verdict, outlook=Outlook.INVALID))]))
    (line,) = diff_of(url, "a", "b")
    assert (line.change_percent, line.note) == (None, "the new one is invalid")


def test_what_was_measured_elsewhere_or_with_another_version_is_named(url: str) -> None:
    other = record_of(FOUR, "b", ttft_ms=200)
    assert other.served is not None
    store.keep(url, rows_from([record_of(FOUR, "a")]))
    store.keep(url, rows_from([replace(other, served=replace(other.served, engine_version="b8000"))]))
    (line,) = diff_of(url, "a", "b")
    assert line.change_percent == pytest.approx(100.0)
    assert line.note == "engine version b7010 -> b8000"


def test_instants_are_in_utc() -> None:
    assert iso(0) == "1970-01-01T00:00:00Z"

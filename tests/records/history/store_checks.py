"""
What a store must do, in whichever database: the tests of SQLite and PostgreSQL call the same checks.

Each takes the URL of an empty history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context

from pytest_inferbench.records.history import store
from pytest_inferbench.records.history.frames import load_history
from tests.records.history.example_runs import EIGHT, FOUR, broken_of, fill, record_of, rows_from

PROCESSES = 2
RUNS_EACH = 3


def the_same_run_again_changes_nothing(url: str) -> None:
    run = rows_from([record_of(FOUR, "run-1"), record_of(EIGHT, "run-1")])
    store.keep(url, run)
    once = load_history(url)
    store.keep(url, run)
    store.keep(url, replace(run, written_us=run.written_us + 1))
    assert load_history(url).equals(once)
    assert len(once) == 2


def a_changed_result_takes_the_place_of_the_old_one(url: str) -> None:
    store.keep(url, rows_from([broken_of(FOUR, "run-1"), record_of(EIGHT, "run-1")]))
    store.keep(url, rows_from([record_of(FOUR, "run-1", ttft_ms=250), record_of(EIGHT, "run-1")]))
    found = load_history(url).set_index("case")
    assert sorted(found.index) == sorted([FOUR.id, EIGHT.id])
    assert found.loc[FOUR.id, "ttft_ms_p50"] == 250.0
    assert found.loc[EIGHT.id, "ttft_ms_p50"] == 100.0


def a_result_that_is_gone_is_gone(url: str) -> None:
    store.keep(url, rows_from([record_of(FOUR, "run-1"), record_of(EIGHT, "run-1")]))
    store.keep(url, rows_from([record_of(EIGHT, "run-1")]))
    assert list(load_history(url)["case"]) == [EIGHT.id]


def older_rows_never_replace_newer_ones(url: str) -> None:
    older = rows_from([record_of(FOUR, "run-1", ttft_ms=100)])
    newer = rows_from([record_of(FOUR, "run-1", ttft_ms=200)])
    store.keep(url, replace(newer, written_us=older.written_us + 1))
    store.keep(url, older)
    assert list(load_history(url)["ttft_ms_p50"]) == [200.0]


def what_an_import_does_not_know_stays_as_it_was(url: str) -> None:
    store.keep(url, rows_from([record_of(FOUR, "run-1")], host="bench-1"))
    store.keep(url, rows_from([record_of(FOUR, "run-1")], host=None))
    assert list(load_history(url)["host"]) == ["bench-1"]


def a_run_that_is_forgotten_leaves_the_others(url: str) -> None:
    fill(url, days=3)
    assert store.forget(url, ["run-2", "never-there"]) == 1
    assert sorted(set(load_history(url)["run_id"])) == ["run-1", "run-3"]


def words_of_any_kind_are_kept(url: str) -> None:
    hostile = "a'b\"; DROP TABLE inferbench_runs; -- %s :name \u2028 \0 é"
    record = replace(record_of(FOUR, "run-1"), error=hostile)
    store.keep(url, rows_from([record], branch=hostile + "\udcff"))
    found = load_history(url).iloc[0]
    stored = hostile.replace("\0", "")
    assert (found["error"], found["branch"]) == (stored, stored + "?")


def writers_do_not_disturb_each_other(url: str) -> None:
    # Started anew: a fork would share whatever this process has open.
    context = get_context("spawn")
    others = [context.Process(target=_write_some, args=(url, i)) for i in range(PROCESSES)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert [other.exitcode for other in others] == [0] * PROCESSES
    found = load_history(url)
    assert len(found) == 2 * (PROCESSES * RUNS_EACH + 1)
    assert not found.duplicated(["run_id", "case"]).any()


def _write_some(url: str, i: int) -> None:
    for k in range(RUNS_EACH):
        for run_id in (f"run-{i}-{k}", "of-all"):
            store.keep(url, rows_from([record_of(FOUR, run_id), record_of(EIGHT, run_id, ttft_ms=100 + i)]))


CHECKS: tuple[Callable[[str], None], ...] = (
    the_same_run_again_changes_nothing,
    a_changed_result_takes_the_place_of_the_old_one,
    a_result_that_is_gone_is_gone,
    older_rows_never_replace_newer_ones,
    what_an_import_does_not_know_stays_as_it_was,
    a_run_that_is_forgotten_leaves_the_others,
    words_of_any_kind_are_kept,
    writers_do_not_disturb_each_other,
)

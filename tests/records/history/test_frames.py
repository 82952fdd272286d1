from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.history import store
from pytest_inferbench.records.history.frames import CONDITION_COLUMNS, RUN_COLUMNS, load_history
from pytest_inferbench.records.results import column_names, results_frame
from tests.records.history.example_runs import EIGHT, FOUR, broken_of, fill, record_of, rows_from, sqlite_in

DOCS = Path(__file__).parents[3] / "docs" / "history.md"


def test_a_frame_has_a_row_for_each_case_of_each_run_oldest_first(tmp_path: Path) -> None:
    fill(sqlite_in(tmp_path), days=2)
    frame = load_history(sqlite_in(tmp_path))
    assert [*zip(frame["run_id"], frame["case"], strict=True)] == [
        ("run-1", FOUR.id),
        ("run-1", EIGHT.id),
        ("run-2", FOUR.id),
        ("run-2", EIGHT.id),
    ]
    assert list(frame["ttft_ms_p50"]) == [100.0, 100.0, 110.0, 110.0]
    assert list(frame["concurrency"]) == [4, 8, 4, 8]


def test_its_columns_are_those_of_results_csv_and_what_is_known_of_the_run(tmp_path: Path) -> None:
    fill(sqlite_in(tmp_path), days=1)
    frame = load_history(sqlite_in(tmp_path))
    assert tuple(frame.columns) == (*column_names(), *RUN_COLUMNS, *CONDITION_COLUMNS)
    assert frame["started_at"].iloc[0] == pd.Timestamp("2026-11-01T06:00:00Z")
    first = frame.iloc[0]
    assert [first[name] for name in RUN_COLUMNS] == ["commit1", "main", False, "bench-1", "0.1.0"]
    assert first["machine"] == "Some CPU, 8 cores"


def test_every_column_of_results_csv_is_as_in_the_frame_of_the_run_itself(tmp_path: Path) -> None:
    records = [record_of(FOUR, "run-1", ttft_ms=123), broken_of(EIGHT, "run-1")]
    store.keep(sqlite_in(tmp_path), rows_from(records))
    there = results_frame(records)
    found = load_history(sqlite_in(tmp_path))[list(column_names())]
    pd.testing.assert_frame_equal(found, there, check_exact=True)
    assert found["ttft_ms_p50"].iloc[0] == 123.0
    assert found["error"].iloc[1] == "engine died: no memory"


def test_its_units_are_at_hand(tmp_path: Path) -> None:
    fill(sqlite_in(tmp_path), days=1)
    frame = load_history(sqlite_in(tmp_path))
    assert set(frame.attrs["units"]) == set(frame.columns)
    assert [frame.attrs["units"][name] for name in ("ttft_ms_p99", "dirty", "host")] == ["ms", "true or false", "text"]


def test_types_do_not_depend_on_what_rows_hold(tmp_path: Path) -> None:
    store.keep(sqlite_in(tmp_path), rows_from([broken_of(FOUR, "run-1")], branch=None, dirty=None))
    broken = load_history(sqlite_in(tmp_path))
    assert broken["ttft_ms_p50"].isna().all()
    assert broken["error"].iloc[0] == "engine died: no memory"
    store.keep(sqlite_in(tmp_path), rows_from([record_of(EIGHT, "run-2")]))
    assert list(load_history(sqlite_in(tmp_path)).dtypes) == list(broken.dtypes)
    store.forget(sqlite_in(tmp_path), ["run-1", "run-2"])
    empty = load_history(sqlite_in(tmp_path))
    assert (len(empty), list(empty.dtypes)) == (0, list(broken.dtypes))


def test_without_a_url_it_is_the_one_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(sqlite_in(tmp_path), days=1)
    monkeypatch.setenv("INFERBENCH_STORE", sqlite_in(tmp_path))
    assert len(load_history()) == 2
    monkeypatch.setenv("INFERBENCH_STORE", "none")
    with pytest.raises(RecordError, match=r"the history is switched off \(none\); give the URL of a database"):
        load_history()


def test_where_there_is_no_history_it_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(
        RecordError, match=r"there is no history yet at .*history\.sqlite: run a suite, or bring runs in with"
    ) as told:
        load_history(sqlite_in(tmp_path))
    assert "inferbench history import RUN" in str(told.value)
    assert not (tmp_path / "history.sqlite").exists()


@pytest.mark.parametrize("name", [*RUN_COLUMNS, *CONDITION_COLUMNS])
def test_the_documentation_names_every_column_that_results_csv_lacks(name: str) -> None:
    assert f"`{name}`" in DOCS.read_text()

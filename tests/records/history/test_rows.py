from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.baselines import CONDITIONS, VERSIONS
from pytest_inferbench.records.history import rows
from pytest_inferbench.records.history.rows import (
    RunFacts,
    digest_of,
    figure_columns,
    from_text,
    microseconds,
    other_columns,
    rows_of,
    rows_of_run,
    to_text,
)
from pytest_inferbench.records.results import column_names, write_results
from tests.records.example import SECRET, example_record, secretive_record
from tests.records.history.example_runs import EIGHT, FIRST, FOUR, broken_of, record_of, rows_from
from tests.records.test_baseline_files import run_in


def test_a_result_is_told_by_its_place_and_has_axes_conditions_and_figures() -> None:
    (row,) = rows_from([record_of(FOUR, "run-1", ttft_ms=123)]).results
    assert row.place == FOUR.id
    assert (row.series["case_id"], row.series["concurrency"], row.series["rate"]) == (FOUR.id, 4, None)
    assert set(row.conditions) == {*CONDITIONS, *VERSIONS}
    assert (row.conditions["engine"], row.conditions["machine"]) == ("llamacpp", "Some CPU, 8 cores")
    assert (row.figures["ttft_ms_p50"], row.figures["attempted"]) == (123.0, 4.0)
    assert "ttft_tool_ms_p50" not in row.figures
    assert row.judgements[0]["objective"]["text"] == "ttft_p99 <= 500ms"
    assert row.started_us == 1_000_000 * round(FIRST.timestamp())


def test_a_case_that_broke_has_its_error_and_no_figure_of_requests() -> None:
    (row,) = rows_from([broken_of(FOUR, "run-1")]).results
    assert row.texts["error"] == "engine died: no memory"
    assert list(row.figures) == ["wall_s"]


def test_every_column_of_results_csv_has_its_place() -> None:
    assert other_columns() == ()
    known = {*figure_columns(), *rows.TEXTS, *rows._ELSEWHERE, *rows._AXES}
    assert known == set(column_names())


def test_a_run_begins_with_its_first_case() -> None:
    run = rows_from([record_of(FOUR, "run-1", day=3), record_of(EIGHT, "run-1", day=2)])
    assert run.started_us == microseconds(FIRST + timedelta(days=2))


def test_the_digest_changes_with_anything_in_a_result() -> None:
    (row,) = rows_from([record_of(FOUR, "run-1")]).results
    (same,) = rows_from([record_of(FOUR, "run-1")]).results
    (other,) = rows_from([record_of(FOUR, "run-1", ttft_ms=101)]).results
    assert row.digest == same.digest
    assert len({row.digest, other.digest, replace(row, conditions={}).digest}) == 3


def test_a_run_survives_the_way_through_the_spool() -> None:
    run = rows_from([record_of(FOUR, "run-1"), broken_of(EIGHT, "run-1")], command="pytest suites \udcff")
    back = from_text(to_text(run))
    assert (back.run_id, back.facts, back.written_us) == (run.run_id, run.facts, run.written_us)
    assert [each.digest for each in back.results] == [each.digest for each in run.results]


def test_infinite_figures_survive_it_too() -> None:
    run = rows_from([record_of(FOUR, "run-1")])
    endless = replace(run, results=[replace(run.results[0], figures={"goodput_requests_per_s": float("inf")})])
    assert from_text(to_text(endless)).results[0].figures == {"goodput_requests_per_s": float("inf")}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"results": [{"figures": {}}]}', '{"results": [1]}'])
def test_what_is_no_run_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_text(text)


def test_secrets_are_taken_out() -> None:
    text = to_text(rows_from([secretive_record()], command=f"pytest --api-key {SECRET}"))
    assert SECRET not in text
    assert "REDACTED" in text


def test_records_of_several_runs_or_of_none_are_refused() -> None:
    with pytest.raises(RecordError, match="the history takes one run at a time, and these are 2: run-1, run-2"):
        rows_from([record_of(FOUR, "run-1"), record_of(FOUR, "run-2")])
    with pytest.raises(RecordError, match="these are 0: no case"):
        rows_of([], facts=RunFacts())


def test_a_runs_folder_says_commit_version_and_machine(tmp_path: Path) -> None:
    run = rows_of_run(run_in(tmp_path / "run"), facts=RunFacts(host="bench-1"))
    assert run.facts.host == "bench-1"
    assert run.results


def test_what_is_told_goes_before_what_the_folder_says(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    case = folder / FOUR.id
    case.mkdir(parents=True)
    write_results(folder, [record_of(FOUR, "run-1"), broken_of(EIGHT, "run-1")])
    (case / "manifest.json").write_text(
        '{"client_version": "9.9", "environment": {"cpu_model": "CPU", "cores": 2, "driver": "550",'
        ' "git": {"commit": "abc", "branch": "b", "dirty": true}}}'
    )
    run = rows_of_run(folder, facts=RunFacts(branch="main"))
    assert run.facts == RunFacts(commit="abc", branch="main", dirty=True, plugin_version="9.9")
    # The second case broke before it had a manifest; it ran on the machine of the first one.
    assert [each.conditions["machine"] for each in run.results] == ["CPU, 2 cores"] * 2
    assert [each.conditions["driver"] for each in run.results] == ["550"] * 2


def test_a_folder_that_leads_out_of_the_run_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "manifest.json").write_text('{"client_version": "stolen"}')
    run = rows_of_run(folder, records=[replace(record_of(FOUR, "run-1"), folder="..")])
    assert run.facts.plugin_version is None


def test_of_two_results_of_one_place_the_last_one_is_kept() -> None:
    run = rows_from([record_of(FOUR, "run-1", ttft_ms=1), record_of(FOUR, "run-1", ttft_ms=2)])
    assert [each.figures["ttft_ms_p50"] for each in run.results] == [2.0]


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 2, "b": 1})


@given(instant=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)), hours=st.integers(-12, 12))  # noqa: DTZ001 - hypothesis wants them without a zone
def test_microseconds_are_exact_in_every_zone(instant: datetime, hours: int) -> None:
    zone = timezone(timedelta(hours=hours))
    found = microseconds(instant.replace(tzinfo=UTC).astimezone(zone))
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=found) == instant.replace(tzinfo=UTC)


def test_the_example_is_of_the_run_that_it_says() -> None:
    assert example_record().run_id == rows_from([example_record()]).run_id

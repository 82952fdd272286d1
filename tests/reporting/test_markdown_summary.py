"""A run as one page of Markdown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytest_inferbench.records.record import Record
from pytest_inferbench.records.results import write_results
from pytest_inferbench.reporting.ci_summary import step_summary
from pytest_inferbench.reporting.markdown_summary import write_markdown_summary
from tests.records.example import CASE, RUN_ID, SECRET, SERVED, broken_record, example_record, secretive_record
from tests.reporting.test_ci_summary import NASTY, of_case
from tests.reporting.test_comparison_table import compared


def summary_of(folder: Path, *records: Record) -> str:
    return write_markdown_summary(folder, records).read_text(encoding="utf-8")


def test_it_says_which_run_it_was_when_and_of_what(tmp_path: Path) -> None:
    records = [replace(example_record(), started_at="2026-11-22T08:00:00+00:00", wall_s=60.5), example_record()]
    lines = summary_of(tmp_path, *records).splitlines()
    assert lines[0] == f"# Run {RUN_ID.replace('-', '&#45;')}"
    assert lines[2] == "Began 2026-11-22 07:45 UTC; its cases took 1 min 03 s together."
    assert "* llamacpp b7010, smollm2, on cpu: 2 cases" in lines


def test_its_tables_are_those_of_the_summary_for_ci(tmp_path: Path) -> None:
    records, comparison = [example_record(), broken_record()], of_case(compared())
    path = write_markdown_summary(tmp_path, records, [comparison], baseline="main", notes=["a note"])
    assert step_summary(records, [comparison], baseline="main", notes=["a note"]).rstrip() in path.read_text(encoding="utf-8")


def test_it_leads_to_the_files_that_are_there(tmp_path: Path) -> None:
    write_results(tmp_path, [example_record()])
    (tmp_path / CASE.id).mkdir()
    text = summary_of(tmp_path, example_record(), replace(example_record(), folder="gone"))
    assert "* [results.csv](results.csv): a row a case\n" in text
    assert "* [results.parquet](results.parquet): the same with types\n" in text
    assert f"]({CASE.id}/)\n" in text
    assert "report.html" not in text
    assert "gone/" not in text


def test_a_run_without_cases_has_a_summary(tmp_path: Path) -> None:
    assert summary_of(tmp_path).startswith("# Run without cases\n")


def test_hostile_words_are_text_and_secrets_are_not_there(tmp_path: Path) -> None:
    hostile = replace(example_record(), run_id=NASTY, served=replace(SERVED, model=NASTY, engine_version=NASTY))
    text = summary_of(tmp_path, hostile, secretive_record())
    assert "<img" not in text
    assert "](javascript" not in text
    assert "@all" not in text
    assert SECRET not in text

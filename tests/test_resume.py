"""A result of an earlier attempt stands only for the case that it was measured for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Case, EngineSpec, Load
from pytest_inferbench.errors import RecordError
from pytest_inferbench.objectives.verdict import Outlook, Verdict
from pytest_inferbench.records.record import Record
from pytest_inferbench.records.run_directory import RunDirectory, open_run
from pytest_inferbench.records.writer import write_case
from pytest_inferbench.resume import Asked, Stored, current, plan, records_in, run_at
from tests.records.example import CASE, SECRET, example_record, example_traces


def stored(record: Record | None = None) -> Stored:
    return Stored(record=record or example_record(), folder=Path("run/case"))


def judged(outlook: Outlook) -> Record:
    return replace(example_record(), verdict=Verdict(outlook=outlook, judgements=()))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return open_run("run-1", output=tmp_path / "run")


def write(run: RunDirectory, record: Record) -> Path:
    folder = run.case_folder(record.case.id)
    write_case(folder, record=record, traces=example_traces())
    return folder


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (judged(Outlook.PASS), None),
        (judged(Outlook.FAIL), None),
        (judged(Outlook.INCONCLUSIVE), "it was inconclusive"),
        (judged(Outlook.INVALID), "it was invalid"),
        (replace(example_record(), error="the server died\nmore words"), "it broke: the server died"),
        (replace(example_record(), summary=None), "it has no figures"),
    ],
)
def test_a_result_counts_where_its_figures_can_be_believed(record: Record, why: str | None) -> None:
    assert stored(record).invalid == why
    assert stored(record).valid == (why is None)


def test_the_same_case_has_not_changed() -> None:
    moved = replace(CASE, origin=None, slo=("ttft_p99<=0.5s",))
    assert stored().changed(moved) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda case: replace(case, load=replace(case.load, concurrency=8)), "load.concurrency: 4 -> 8"),
        (lambda case: replace(case, model="other"), "model: smollm2-135m -> other"),
        (lambda case: replace(case, fresh_server=True), "fresh_server: False -> True"),
        (
            lambda case: replace(
                case, engine=EngineSpec(name="llamacpp", args=(("ctx", 4096), ("flag", None)), env=case.engine.env)
            ),
            "engine.args: (('ctx', 2048), ('flag', None)) -> (('ctx', 4096), ('flag', None))",
        ),
        (
            lambda case: replace(case, slo=("ttft_p99 <= 400ms",)),
            "objectives: error_rate <= 0, ttft_p99 <= 500ms -> error_rate <= 0, ttft_p99 <= 400ms",
        ),
        (
            lambda case: replace(case, slo=(*case.slo, "error_rate <= 1%")),
            "objectives: error_rate <= 0, ttft_p99 <= 500ms -> error_rate <= 0.01, ttft_p99 <= 500ms",
        ),
    ],
)
def test_what_changed_is_named_with_both_values(change: Callable[[Case], Case], words: str) -> None:
    assert stored().changed(change(CASE)) == (words,)


def test_what_was_asked_for_on_the_command_line_counts() -> None:
    assert stored().changed(CASE, Asked(slo=("error_rate <= 0",), seed=1)) == ()
    assert stored().changed(CASE, Asked(seed=7)) == ("seed: 1 -> 7",)
    assert stored().changed(CASE, Asked(slo=("ttft_p50 <= 1s",))) == (
        "objectives: error_rate <= 0, ttft_p99 <= 500ms -> error_rate <= 0, ttft_p50 <= 1000ms, ttft_p99 <= 500ms",
    )


def test_another_server_is_a_change() -> None:
    assert stored().changed(CASE, Asked(endpoint="http://h:1")) == ("server: started for the run -> http://h:1",)
    record = example_record()
    assert record.served is not None
    attached = replace(record, served=replace(record.served, url="http://h:1", command=()))
    assert stored(attached).changed(CASE, Asked(endpoint="http://h:1/v1/")) == ()
    assert stored(attached).changed(CASE) == ("server: http://h:1 -> started for the run",)


def test_a_secret_is_neither_a_change_nor_shown() -> None:
    then = replace(CASE, extra_body=json.dumps({"api_key": "REDACTED"}))
    now = replace(CASE, extra_body=json.dumps({"api_key": SECRET}))
    assert stored(replace(example_record(), case=then)).changed(now) == ()
    other = replace(now, extra_body=json.dumps({"api_key": SECRET, "top_k": 1}))
    (words,) = stored(replace(example_record(), case=then)).changed(other)
    assert words.startswith('extra_body: {"api_key": "REDACTED"} -> {"api_key": "REDACTED"')
    assert SECRET not in words


def test_the_rate_that_a_sweep_found_is_no_change() -> None:
    level = replace(CASE, load=Load(arrival="poisson", sweep_place=1, sweep_of=3, requests=3))
    measured = replace(level, load=replace(level.load, rate_per_s=3.7))
    assert stored(replace(example_record(), case=measured)).changed(level) == ()


def test_a_trace_that_was_written_since_is_a_change(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    trace.touch()
    case = replace(CASE, load=Load(trace=str(trace), arrival="trace"))
    early = replace(example_record(), case=case, started_at="2001-01-01T00:00:00+00:00")
    assert stored(early).changed(case) == (f"load.trace: {trace} was written after it was measured",)
    late = replace(early, started_at="2999-01-01T00:00:00+00:00")
    assert stored(late).changed(case) == ()


def test_a_run_is_read_from_its_cases_folders_and_the_newest_valid_result_stands(run: RunDirectory) -> None:
    valid = replace(judged(Outlook.FAIL), started_at="2026-01-01T00:00:01+00:00")
    broken = replace(valid, started_at="2026-01-01T00:00:02+00:00", error="interrupted")
    first = write(run, valid)
    write(run, broken)
    (run.path / "half").mkdir()
    (run.path / "half" / "summary.json").write_text("{")
    found = plan(run.path)
    (trouble,) = found.troubles
    assert trouble.startswith(f"{run.path / 'half' / 'summary.json'} is not JSON")
    one = found.of(CASE)
    assert one is not None
    assert (one.folder, one.valid) == (first, True)
    assert len(one.result().traces or ()) == 3
    assert found.of(replace(CASE, suite="other")) is None


def test_attempts_that_a_later_one_replaced_do_not_stand_for_the_run(run: RunDirectory) -> None:
    at = "2026-01-01T00:00:0{}+00:00".format
    other = replace(CASE, load=replace(CASE.load, concurrency=8))
    records = [
        replace(judged(Outlook.PASS), started_at=at(1), case=other),
        replace(judged(Outlook.INVALID), started_at=at(2)),
        replace(judged(Outlook.PASS), started_at=at(3)),
        replace(judged(Outlook.FAIL), started_at=at(4)),
        replace(judged(Outlook.PASS), started_at=at(0), node_id="another test"),
    ]
    for record in records:
        write(run, record)
    measured, troubles = records_in(run.path)
    assert troubles == ()
    standing = [each.record.started_at for each in current(measured)]
    assert standing == [at(0), at(3), at(4)]


def test_an_invalid_result_that_nothing_replaced_stands(run: RunDirectory) -> None:
    write(run, judged(Outlook.INVALID))
    measured, _ = records_in(run.path)
    assert current(measured) == measured


def test_a_run_is_gone_on_with_under_its_own_id(run: RunDirectory, tmp_path: Path) -> None:
    assert run_at(run.path) == run
    with pytest.raises(RecordError, match=r"run\.json could not be read"):
        run_at(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RecordError, match=r"run\.json does not say which run it is"):
        run_at(tmp_path)

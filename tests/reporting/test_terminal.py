from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from _pytest._io import TerminalWriter

from pytest_inferbench.objectives.verdict import Outlook, Verdict
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.figures import NOTHING
from pytest_inferbench.reporting.terminal import CaseTable, reasons, summary_tail, table_width, tally, write_summary
from tests.reporting.examples import HOSTILE, broken_record, busy_traces, case, hostile_record, judged, record, verdict


def table(*records: Record, width: int = 100, colour: bool = False) -> str:
    stream = io.StringIO()
    terminal = TerminalWriter(stream)
    terminal.hasmarkup = colour
    rows = CaseTable(terminal, [each.case.id for each in records], width=width)
    for each in records:
        rows.add(each)
    return stream.getvalue()


def test_a_row_has_the_verdict_the_requests_and_the_key_figures_below_their_heads() -> None:
    assert table(record()).splitlines() == [
        "                                                                  TTFT   TTFT   TPOT    E2E output",
        "case                                     verdict       requests p50 ms p99 ms p50 ms p99 ms  tok/s",
        "cpu-llamacpp-smollm2-135m-tp1-d128x64-c4 pass             10/10    100    100   20.0  1,100   46.4",
    ]


def test_a_missed_objective_is_told_in_words_below_its_row() -> None:
    lines = table(record(ttft_limit_ms=80)).splitlines()
    assert " fail " in lines[2]
    assert lines[3] == "    → missed ttft_p99 <= 80 ms: 100 ms (+25.0 %)"


def test_an_inconclusive_objective_says_why() -> None:
    unsure = replace(judged(record().summary, "ttft", "p99", 250), outlook=Outlook.INCONCLUSIVE, reason="459 more would tell")
    lines = table(replace(record(), verdict=verdict(unsure))).splitlines()
    assert lines[3] == "    → inconclusive: ttft_p99 <= 250 ms: 459 more would tell"


def test_a_case_that_broke_has_no_figures_and_says_how_it_broke() -> None:
    lines = table(broken_record()).splitlines()
    assert lines[2].split() == ["cpu-llamacpp-missing-tp1-d128x64-c1", "invalid", *[NOTHING] * 6]
    assert lines[3] == "    → EngineNotReady: the server did not answer within 60 s … exit code 1"


def test_what_broke_is_said_once_with_the_server_s_last_word() -> None:
    broken = broken_record()
    assert broken.error is not None
    told = reasons(replace(broken, verdict=verdict(reasons=(broken.error, "2 of 4 requests did not complete"))))
    assert told == ["EngineNotReady: the server did not answer within 60 s … exit code 1", "2 of 4 requests did not complete"]


def test_an_endpoint_that_turns_out_to_be_simulated_is_said_where_no_id_says_it() -> None:
    said = "    → SIMULATED: this server is a simulated one; no figure was measured on real hardware"
    simulated = replace(record(), simulated=True)
    assert table(simulated).splitlines()[3:] == [said]
    marked = replace(simulated, case=replace(simulated.case, id=f"{simulated.case.id}-simulated"))
    assert "SIMULATED" not in table(marked)


def test_nothing_is_left_out_of_two_lines() -> None:
    assert reasons(replace(broken_record(), verdict=verdict(), error="it ended; its log:\nerror: no memory")) == [
        "it ended; its log: error: no memory"
    ]


def test_a_miss_that_could_not_be_measured_gives_the_reason_instead_of_a_figure() -> None:
    missed = replace(judged(None, "ttft", "p99", 250), outlook=Outlook.FAIL, reason="every request failed")
    assert reasons(replace(record(), verdict=verdict(missed))) == ["missed ttft_p99 <= 250 ms: every request failed"]


def test_an_id_that_does_not_fit_has_its_own_line_and_is_never_cut() -> None:
    lines = table(record(), width=80).splitlines()
    assert lines[2] == "cpu-llamacpp-smollm2-135m-tp1-d128x64-c4"
    assert lines[3].split()[0] == "pass"


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_row_is_wider_than_the_terminal(width: int) -> None:
    long_reason = replace(record(), verdict=Verdict(outlook=Outlook.INVALID, judgements=(), reasons=("word " * 80,)))
    assert max(map(len, table(record(ttft_limit_ms=1), broken_record(), long_reason, width=width).splitlines())) <= width


def test_rows_are_plain_where_the_terminal_has_no_colours_and_coloured_where_it_has() -> None:
    assert "\x1b" not in table(record())
    assert "\x1b[32m\x1b[1mpass" in table(record(), colour=True)
    assert "\x1b[31m\x1b[1mfail" in table(record(ttft_limit_ms=1), colour=True)


def test_words_of_others_bring_no_escape_sequence_to_the_terminal() -> None:
    shown = table(hostile_record(busy_traces(requests=4)))
    assert "\x1b" in HOSTILE
    assert "\x1b" not in shown


def test_an_expected_miss_is_marked_as_such() -> None:
    stream = io.StringIO()
    rows = CaseTable(TerminalWriter(stream), ["x"], width=100)
    rows.add(record(ttft_limit_ms=80), expected_failure=True)
    assert stream.getvalue().splitlines()[-1] == "    → this miss is expected (marked so)"


def test_a_log_is_at_least_a_hundred_columns_wide_and_a_screen_as_wide_as_it_is() -> None:
    terminal = TerminalWriter(io.StringIO())
    terminal.fullwidth = 80
    terminal.hasmarkup = False
    assert table_width(terminal) == 100
    terminal.hasmarkup = True
    assert table_width(terminal) == 79


def test_the_tally_names_each_verdict_that_there_is() -> None:
    assert tally([record(), record(ttft_limit_ms=1), broken_record()]) == "3 cases: 1 pass, 1 fail, 1 invalid"
    assert tally([record()]) == "1 case: 1 pass"


def test_an_expected_miss_is_told_apart_from_the_others() -> None:
    known = record(of_case=case("known"), ttft_limit_ms=1)
    records = [record(), record(ttft_limit_ms=1), known]
    assert tally(records, {known.node_id}) == "3 cases: 1 pass, 1 fail, 1 failed as expected"
    stream = io.StringIO()
    write_summary(TerminalWriter(stream), records, run_dir=Path("r"), report=None, expected={known.node_id})
    assert stream.getvalue().count("this miss is expected") == 1


def test_the_summary_ends_with_where_everything_lies() -> None:
    lines = summary_tail([record()], run_dir=Path("reports/runs/r1"), report=Path("reports/runs/r1/report.html"))
    assert lines == [
        "1 case: 1 pass; 14 s of measuring",
        "results: reports/runs/r1",
        "report:  reports/runs/r1/report.html",
    ]


def test_simulated_cases_are_counted_aloud() -> None:
    lines = summary_tail([replace(record(), simulated=True), record()], run_dir=Path("r"), report=None)
    assert lines[1] == "SIMULATED: 1 of 2 cases; none of their figures was measured on real hardware"


def test_the_final_summary_shows_all_cases_and_says_nothing_when_none_ran() -> None:
    stream = io.StringIO()
    terminal = TerminalWriter(stream)
    write_summary(terminal, [], run_dir=Path("r"), report=None)
    assert stream.getvalue() == ""
    write_summary(terminal, [record(of_case=case("a")), record(of_case=case("b"))], run_dir=Path("r"), report=None)
    lines = stream.getvalue().splitlines()
    assert "inference benchmarks" in lines[0]
    assert [line.split()[0] for line in lines[3:5]] == ["a", "b"]
    assert lines[-1] == "results: r"

from __future__ import annotations

import io
from dataclasses import replace

from _pytest._io import TerminalWriter

from pytest_inferbench.reporting.figure_table import write_figures
from tests.reporting.examples import broken_record, record


def test_every_figure_of_a_case_is_in_the_table_with_its_unit() -> None:
    stream = io.StringIO()
    write_figures(TerminalWriter(stream), record())
    rows = {line.split("  ")[0].strip(): line.split()[-7:] for line in stream.getvalue().splitlines()}
    assert rows["ttft (ms)"] == ["100", "100", "100", "100", "100", "100", "10"]
    assert rows["tpot (ms)"] == ["20.0", "20.0", "20.0", "20.0", "20.0", "20.0", "10"]
    assert rows["output_throughput (tok/s)"][-1] == "46.4"
    assert rows["error_rate"][-1] == "0"


def test_a_case_that_broke_has_no_table() -> None:
    stream = io.StringIO()
    write_figures(TerminalWriter(stream), broken_record())
    assert stream.getvalue() == ""


def test_a_latency_that_no_request_has_is_left_out() -> None:
    whole = record()
    assert whole.summary is not None
    none = replace(whole.summary.distributions["ttft"], count=0)
    summary = replace(whole.summary, distributions={**whole.summary.distributions, "ttft": none})
    stream = io.StringIO()
    write_figures(TerminalWriter(stream), replace(whole, summary=summary))
    assert "ttft (ms)" not in stream.getvalue()
    assert "tpot (ms)" in stream.getvalue()

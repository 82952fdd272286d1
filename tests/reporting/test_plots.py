from __future__ import annotations

import struct
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.reporting.plots import case_figure, write_case_png
from tests.reporting.examples import HOSTILE, all_failed, busy_traces, case, no_request, record, steady_traces
from tests.traces import streamed, traces_of


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]


@pytest.mark.parametrize(
    "traces",
    [busy_traces(requests=40), no_request(), all_failed(), traces_of([streamed()]), busy_traces(requests=5, lost_requests=3)],
    ids=["many", "none", "all failed", "one", "some failed"],
)
def test_a_picture_is_written_whatever_became_of_the_requests(tmp_path: Path, traces: Traces) -> None:
    path = tmp_path / "throughput_latency.png"
    write_case_png(path, record(traces), traces)
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:24]) == (1920, 768)


def test_axes_have_titles_and_units_and_lines_their_percentile() -> None:
    traces = steady_traces()
    left, right = case_figure(record(traces), traces).axes
    assert (left.get_xlabel(), left.get_ylabel()) == ("sent after the first request (s)", "latency (ms)")
    assert (right.get_xlabel(), right.get_ylabel()) == ("time since the first request (s)", "output tokens per second (tok/s)")
    assert left.get_legend_handles_labels()[1] == [
        "TTFT",
        "E2E",
        "TTFT p50 100 ms",
        "E2E p50 1,100 ms",
        "TTFT p99 100 ms",
        "E2E p99 1,100 ms",
    ]


def test_every_request_is_a_point_at_its_own_latency() -> None:
    traces = traces_of([streamed(100, 20, tokens=3), streamed(50, 10, tokens=3, sent_ns=10**9)])
    points = case_figure(record(traces), traces).axes[0].get_lines()[0]
    assert points.get_xydata().tolist() == [[0, 100], [1, 50]]  # type: ignore[union-attr] # always an array


def test_an_empty_case_says_so_in_both_halves() -> None:
    assert words(case_figure(record(no_request()), no_request())).count("nothing was measured") == 2


def test_simulated_figures_say_so_in_the_title_and_on_every_axis() -> None:
    traces = busy_traces(requests=5)
    simulated = replace(record(traces), simulated=True)
    assert sum("SIMULATED" in text for text in words(case_figure(simulated, traces))) == 5


def test_no_global_state_of_pyplot_is_touched(tmp_path: Path) -> None:
    traces = busy_traces(requests=5)
    before = set(sys.modules)
    write_case_png(tmp_path / "a.png", record(traces), traces)
    assert "matplotlib.pyplot" not in set(sys.modules) - before


def test_a_hostile_id_is_only_text(tmp_path: Path) -> None:
    traces = busy_traces(requests=5)
    hostile = record(traces, case(f"$\\frac{{1}}{{${HOSTILE}"))
    write_case_png(tmp_path / "a.png", hostile, traces)
    assert "\x1b" not in "".join(words(case_figure(hostile, traces)))

from __future__ import annotations

import json

import pytest

from pytest_inferbench.load.trace import Outcome
from pytest_inferbench.records.export.aiperf import REQUESTS, SUMMARY, files, records, summary
from tests.records.example import CASE
from tests.records.export.measured import exportable, uneven_traces
from tests.traces import WALL_OFFSET_NS, lost, streamed, traces_of


def test_each_case_has_a_folder_with_two_files() -> None:
    assert [file.path for file in files([exportable()]).files] == [f"{CASE.id}/{SUMMARY}", f"{CASE.id}/{REQUESTS}"]


def test_figures_are_aiperfs_own() -> None:
    found = summary(exportable(uneven_traces()))
    assert found["schema_version"] == "1.4"
    assert found["time_to_first_token"]["avg"] == pytest.approx(65)
    assert found["request_latency"]["avg"] == pytest.approx(115)
    assert found["inter_token_latency"]["avg"] == pytest.approx(100 / 3)
    assert found["inter_token_latency"]["count"] == 1
    assert found["inter_chunk_latency"]["avg"] == pytest.approx(50)
    assert found["time_to_second_token"]["avg"] == pytest.approx(40)
    assert found["output_token_throughput_per_user"]["avg"] == pytest.approx(30)
    assert found["output_sequence_length"]["sum"] == 5
    # From the first send of a completed request to the last token of one, 1.08 s.
    assert found["benchmark_duration"]["avg"] == pytest.approx(1.08)
    assert found["request_throughput"] == {"unit": "requests/sec", "avg": pytest.approx(2 / 1.08)}
    assert (found["request_count"]["avg"], found["error_request_count"]["avg"]) == (2, 1)


def test_errors_are_counted_by_what_they_say() -> None:
    traces = traces_of([streamed(), lost(), lost(), lost(Outcome.TIMED_OUT, "slow")])
    found = summary(exportable(traces))["error_summary"]
    assert [(each["count"], each["error_details"]["message"]) for each in found] == [(2, "HTTP 500: out of memory"), (1, "slow")]


def test_a_line_a_request_tells_who_when_and_how_long() -> None:
    lines = [json.loads(line) for line in files([exportable(uneven_traces())]).files[1].content.splitlines()]
    first, single, failed = lines
    assert first["metadata"]["request_start_ns"] == WALL_OFFSET_NS
    assert first["metrics"]["time_to_first_token"] == {"value": pytest.approx(100), "unit": "ms"}
    assert first["metrics"]["inter_chunk_latency"]["value"] == pytest.approx([40, 60])
    assert "inter_token_latency" not in single["metrics"]
    assert (failed["metrics"], failed["error"]["type"], failed["error"]["code"]) == ({}, "failed", 500)
    assert first["error"] is None


def test_a_cancelled_request_says_so() -> None:
    (line,) = records(traces_of([lost(Outcome.CANCELLED, "stopped")]))
    assert line["metadata"]["was_cancelled"] is True


def test_a_simulated_case_is_marked() -> None:
    found = summary(exportable(simulated=True))
    assert found["metadata"]["simulated"] is True
    assert found["benchmark_id"].rpartition("/")[2].startswith("simulated-")

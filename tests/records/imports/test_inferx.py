from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.imports.registry import read_results
from tests.records.export.measured import exportable
from tests.records.imports.exported import read_back, written

HEADER = "request_id,enqueue_time,send_time,first_byte_time,end_time,prompt_tokens,resp_tokens,bytes_received,status,error\n"


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    found = read_back(tmp_path, "inferx")
    assert (found.tool, found.model, found.concurrency) == ("inferx", "smollm2", 4)
    # Seconds since the epoch keep a quarter of a microsecond.
    assert found.figures["inferx_ttft_ms_mean"] == pytest.approx(65, abs=1e-3)
    assert found.figures["inferx_tpot_ms_max"] == pytest.approx(110 / 4, abs=1e-3)
    assert found.scalars["output_throughput"] == pytest.approx(5 / 1.08, rel=1e-6)
    assert found.scalars["error_rate"] == pytest.approx(1 / 3)
    assert found.columns["inferx_latency_ms"] == pytest.approx((210, 30), abs=1e-3)
    assert found.distributions == {}


def test_a_file_without_facts_is_read_as_far_as_it_tells(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(HEADER + "1,0,0.5,1.0,2.0,10,4,100,200,\n2,0,0.5,,1.0,10,,0,500,boom\n")
    (found,) = read_results(tmp_path / "metrics.csv")
    assert (found.model, found.counts.completed, found.duration_s) == ("unknown", 1, 1.5)
    assert found.figures["inferx_tpot_ms_mean"] == pytest.approx(250)


def test_a_file_where_nothing_completed_has_no_latency(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(HEADER + "2,0,0.5,,1.0,10,,0,500,boom\n")
    (found,) = read_results(tmp_path / "metrics.csv")
    assert found.figures == {}


def test_a_mark_of_simulation_is_kept(tmp_path: Path) -> None:
    assert read_back(tmp_path, "inferx", exportable(simulated=True)).simulated


def test_a_cell_that_is_no_number_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "inferx")[0]
    path.write_text(HEADER + "1,0,soon,1.0,2.0,10,4,100,ok,\n")
    with pytest.raises(ConfigError, match=r"metrics\.csv:2: send_time: 'soon' stands where a number belongs"):
        read_results(path)
    path.write_text(HEADER)
    with pytest.raises(ConfigError, match="it has no rows"):
        read_results(path)

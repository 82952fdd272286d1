from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.imports.registry import read_results
from tests.records.example import CASE
from tests.records.export.measured import exportable, uneven_traces
from tests.records.imports.exported import changed, read_back, written

BY_HAND = """
version: '0.2'
run:
  uid: abc
  time: {start: "2025-11-05T18:00:42Z", duration: PT1M2.5S}
scenario:
  stack:
    - {metadata: {label: epp, cfg_id: a}, standardized: {kind: generic, tool: epp, tool_version: "1"}, native: {}}
  load: {metadata: {}, standardized: {tool: inference-perf, tool_version: "0.3", rate_qps: 10, concurrency: .inf}, native: {}}
results:
  request_performance:
    aggregate:
      requests: {total: 500, failures: 0}
      latency:
        time_to_first_token: {units: ms, mean: 40.5}
"""


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    found = read_back(tmp_path, "llm-d")
    assert (found.tool, found.model, found.engine, found.concurrency, found.traffic) == (
        "llm-d",
        "smollm2",
        "llamacpp",
        4,
        "D(128,64)",
    )
    assert found.figures["llm_d_ntpot_ms_max"] == pytest.approx(210 / 4)
    assert found.figures["llm_d_itl_ms_p50"] == pytest.approx(40)
    assert found.scalars["request_throughput"] == pytest.approx(2 / 1.08)
    assert found.duration_s == pytest.approx(1.08)
    assert (found.prompt_tokens, found.output_tokens) == (30, 5)
    assert (found.counts.completed, found.counts.failed) == (2, 1)


def test_an_open_loop_has_a_rate(tmp_path: Path) -> None:
    case = exportable(uneven_traces(), case=replace(CASE, load=Load(rate_per_s=2.5, arrival="poisson")))
    found = read_back(tmp_path, "llm-d", case)
    assert (found.concurrency, found.rate_per_s) == (None, 2.5)


def test_a_report_in_yaml_with_other_units_is_read(tmp_path: Path) -> None:
    (tmp_path / "report.yaml").write_text(BY_HAND)
    (found,) = read_results(tmp_path / "report.yaml")
    assert (found.name, found.rate_per_s, found.concurrency, found.duration_s) == ("abc", 10.0, None, 62.5)
    assert found.figures == {"llm_d_ttft_ms_mean": 40.5}
    assert found.model == "unknown"


def test_a_mark_of_simulation_is_kept(tmp_path: Path) -> None:
    assert read_back(tmp_path, "llm-d", exportable(simulated=True)).simulated


def test_a_field_that_is_missing_is_named(tmp_path: Path) -> None:
    (path,) = written(tmp_path, "llm-d")
    with pytest.raises(ConfigError, match=r"results\.request_performance\.aggregate\.requests: it is missing"):
        read_results(changed(path, lambda data: data["results"]["request_performance"]["aggregate"].pop("requests")))

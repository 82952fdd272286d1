from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.records.export.gie import benchmarks, files, textproto
from tests.records.example import CASE
from tests.records.export.measured import exportable, uneven_traces


def test_a_result_has_lpgs_figures_in_the_fields_of_the_message() -> None:
    case = exportable(uneven_traces(), case=replace(CASE, load=Load(rate_per_s=2.0, arrival="poisson")))
    stat = benchmarks(case)["benchmarks"]["result"]["stats"]
    assert set(stat) == {"request_rate", "request_latency", "throughput", "input_length", "output_length", "ttft", "tpot"}
    assert stat["tpot"]["mean"] == pytest.approx((210 / 4 + 30) / 2)
    assert set(stat["tpot"]) == {"name", "mean", "median", "sd", "min", "max", "p90", "p99"}
    assert benchmarks(case)["benchmarks"]["config"]["benchmark_tool"]["lpg"]["request_rates"] == "2.0"


def test_text_is_protobufs() -> None:
    text = textproto({"a": {"name": 'say "x"\n', "value": 1.5, "none": nan, "all": inf, "count": 2}})
    assert text == 'a {\n  name: "say \\"x\\"\\n"\n  value: 1.5\n  all: inf\n  count: 2\n}\n'


def test_each_case_has_a_file() -> None:
    (file,) = files([exportable()]).files
    assert file.path == f"{CASE.id}/benchmark.pbtxt"
    assert file.content.startswith(f'benchmarks {{\n  name: "{CASE.id}"\n')


def test_a_simulated_case_is_marked() -> None:
    text = files([exportable(simulated=True)]).files[0].content
    assert 'description: "simulated: nothing was measured on real hardware; closed loop of 4 users"' in text
    assert 'accelerator: "simulated-cpu"' in text

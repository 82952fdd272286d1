from __future__ import annotations

import statistics as standard

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.records.export.pytest_benchmark import REPORT, files, hinges, statistics
from tests.records.export.measured import exportable, several
from tests.traces import streamed, traces_of


def test_each_latency_of_a_case_is_a_benchmark_in_seconds() -> None:
    (report,) = files(several(1)).files
    assert report.path == REPORT
    found = {each["name"]: each for each in report.content["benchmarks"]}
    assert sorted(found) == ["e2e[case-c1]", "itl[case-c1]", "tpot[case-c1]", "ttft[case-c1]"]
    assert found["ttft[case-c1]"]["stats"]["mean"] == pytest.approx(0.051)
    assert found["ttft[case-c1]"]["stats"]["rounds"] == 6
    assert len(found["ttft[case-c1]"]["stats"]["data"]) == 6


def test_a_latency_without_samples_is_not_written() -> None:
    (report,) = files([exportable(traces_of([streamed(tokens=1)]))]).files
    assert {each["name"].partition("[")[0] for each in report.content["benchmarks"]} == {"ttft", "e2e"}


def test_quartiles_are_tukeys_hinges() -> None:
    assert hinges(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == (2.0, 4.0)
    assert hinges(np.array([1.0, 2.0, 3.0, 4.0])) == (1.5, 3.5)
    assert hinges(np.array([7.0])) == (7.0, 7.0)


def test_outliers_are_counted_and_the_whiskers_end_before_them() -> None:
    found = statistics(np.array([1.0, 2.0, 3.0, 4.0, 100.0]))
    assert (found["iqr"], found["iqr_outliers"], found["hd15iqr"], found["ld15iqr"]) == (2.0, 1, 4.0, 1.0)
    assert found["outliers"] == "1;1"
    assert found["ops"] == pytest.approx(5 / 110)


@given(st.lists(st.floats(0.001, 1e3), min_size=2, max_size=30))
def test_mean_and_deviation_are_those_of_a_sample(values: list[float]) -> None:
    found = statistics(np.array(values))
    assert found["mean"] == pytest.approx(standard.fmean(values))
    assert found["stddev"] == pytest.approx(standard.stdev(values), abs=1e-9)
    assert found["q1"] <= found["median"] <= found["q3"]


def test_a_single_round_deviates_from_nothing() -> None:
    assert statistics(np.array([2.0]))["stddev"] == 0.0


def test_a_simulated_case_is_marked() -> None:
    each = files([exportable(simulated=True)]).files[0].content["benchmarks"][0]
    assert (each["group"], each["extra_info"]["simulated"]) == ("simulated ttft", True)

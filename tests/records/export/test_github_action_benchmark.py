from __future__ import annotations

import pytest

from pytest_inferbench.records.export.github_action_benchmark import BIGGER, SMALLER, files
from tests.records.export.measured import exportable, uneven_traces
from tests.traces import streamed, traces_of


def test_figures_stand_in_the_file_of_their_direction() -> None:
    found = {file.path: file.content for file in files([exportable(uneven_traces())]).files}
    assert {entry["name"].rpartition(": ")[2] for entry in found[BIGGER]} == {
        "request_throughput",
        "output_throughput",
        "total_throughput",
        "goodput",
    }
    smaller = {entry["name"].rpartition(": ")[2]: entry for entry in found[SMALLER]}
    assert smaller["ttft mean"]["value"] == pytest.approx(65)
    assert smaller["ttft p99"]["unit"] == "ms"
    assert smaller["error_rate"]["value"] == pytest.approx(1 / 3)


def test_a_figure_without_a_value_is_not_written() -> None:
    (_, smaller) = files([exportable(traces_of([streamed(tokens=1)]))]).files
    assert not any("tpot" in entry["name"] for entry in smaller.content)


def test_a_simulated_case_is_marked_in_name_and_extra() -> None:
    (bigger, _) = files([exportable(simulated=True)]).files
    assert bigger.content[0]["name"].startswith("simulated-")
    assert "simulated: true" in bigger.content[0]["extra"]


def test_no_case_is_no_file() -> None:
    assert files([]).files == ()

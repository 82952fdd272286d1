from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pytest_inferbench.reporting.site.findings import Change, find_changes
from pytest_inferbench.reporting.site.series import History, history_of


def history(values: list[float], column: str = "ttft_ms_p50", **columns: Any) -> History:
    runs = len(values)
    frame = {
        "case": "a-c4",
        "run_id": [f"run-{at:03d}" for at in range(runs)],
        "started_at": [f"2026-11-01T{at // 60:02d}:{at % 60:02d}:00Z" for at in range(runs)],
        "verdict": "pass",
        "simulated": False,
        "branch": "main",
        column: values,
    }
    return history_of(pd.DataFrame({**frame, **columns}))


def step(before: float, after: float, *, runs: int = 15) -> list[float]:
    noise = 1 + 0.01 * np.random.default_rng(1).standard_normal(2 * runs)
    return list(np.array([before] * runs + [after] * runs) * noise)


def only(found: tuple[Change, ...]) -> Change:
    (change,) = found
    return change


@pytest.mark.parametrize(
    ("column", "before", "after", "worse"),
    [
        ("ttft_ms_p50", 100.0, 120.0, True),
        ("ttft_ms_p50", 100.0, 80.0, False),
        ("output_throughput_tokens_per_s", 100.0, 120.0, False),
        ("output_throughput_tokens_per_s", 100.0, 80.0, True),
        ("error_rate", 0.0, 0.2, True),
    ],
)
def test_whether_a_change_is_for_the_worse_follows_the_metric(column: str, before: float, after: float, worse: bool) -> None:
    change = only(find_changes(history(step(before, after), column)).changes)
    assert (change.figure.column, change.worse) == (column, worse)


def test_a_change_lies_between_two_runs_and_names_their_engines() -> None:
    engines = ["vllm 1"] * 15 + ["vllm 2"] * 15
    change = only(find_changes(history(step(100, 120), engine_version=engines)).changes)
    assert (change.run_before, change.run_after) == (14, 15)
    assert (change.engine_before, change.engine_after) == ("vllm 1", "vllm 2")


def test_runs_of_other_branches_and_invalid_ones_are_not_searched() -> None:
    values, branches, verdicts = step(100, 100, runs=20), ["main"] * 40, ["pass"] * 40
    for at in (*range(10, 15), *range(20, 26)):
        values[at] *= 3
    branches[10:15] = ["feature"] * 5
    verdicts[20:26] = ["invalid"] * 6
    assert find_changes(history(values, branch=branches, verdict=verdicts)).changes == ()
    assert find_changes(history(values, branch=branches)).changes != ()


def test_runs_without_the_figure_are_skipped_over() -> None:
    values = step(100, 120)
    values[13] = values[14] = values[15] = float("nan")
    change = only(find_changes(history(values)).changes)
    assert (change.run_before, change.run_after) == (12, 16)


def test_a_ratio_that_was_zero_needs_a_change_of_a_percent() -> None:
    assert find_changes(history([0.0] * 20 + [0.004] * 20, "error_rate")).changes == ()
    assert only(find_changes(history([0.0] * 20 + [0.04] * 20, "error_rate")).changes).point.after == 0.04


def test_the_usual_scatter_is_that_about_the_levels() -> None:
    found = find_changes(history(step(100, 200, runs=60)))
    assert found.scatters[0]["ttft_ms_p50"] == pytest.approx(0.01, rel=0.4)
    assert "tpot_ms_p50" not in found.scatters[0]


def test_it_says_how_far_it_is() -> None:
    told: list[int] = []
    find_changes(history([100.0] * 5), told.append)
    assert told == [1]

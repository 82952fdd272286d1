"""The table of ``suites/fidelity/measure.py``, and one tiny round of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Load
from suites.fidelity.measure import (
    COLUMNS,
    ONE,
    TRIALS,
    TWO,
    Figures,
    Trial,
    client_cpus,
    head,
    line,
    log_in,
    medians,
    one_round,
    scaling,
)

SCRIPT = Path(__file__).parents[2] / "suites" / "fidelity" / "measure.py"


def figures(**some: float) -> Figures:
    names = "first_p50_ms first_p99_ms last_p50_ms last_p99_ms gap_p99_ms requests lost tokens_per_s open_loop rate_per_s"
    more = "planned_per_s lag_p50_ms lag_p99_ms late_p99_ms load_us all_us load_mb decoding_mb carried_per_s"
    return {**dict.fromkeys(f"{names} {more}".split(), 1.0), **some}


def test_a_figure_is_the_median_of_its_rounds_and_no_lost_request_is_hidden_by_it() -> None:
    rounds = [figures(first_p99_ms=0.1, lost=0), figures(first_p99_ms=9.0, lost=0), figures(first_p99_ms=0.2, lost=3)]
    middle = medians(rounds)
    assert (middle["first_p99_ms"], middle["lost"]) == (0.2, 3)


def test_a_row_has_a_cell_a_column_and_no_send_lag_in_a_closed_loop() -> None:
    names, rule = head()
    row = line("some load", figures(open_loop=0.0, first_p50_ms=0.0071, first_p99_ms=0.0164))
    assert names.count("|") == rule.count("|") == row.count("|") == len(COLUMNS) + 2
    assert row.startswith("| some load | 0.007 / 0.016 |")
    assert row.count("| - ") == 2
    assert "| - " not in line("some load", figures(open_loop=1.0))


def test_a_foreign_log_is_read_by_request_id(tmp_path: Path) -> None:
    times = tmp_path / "times.csv"
    times.write_text("a-1,100,200\n,5,6\na-2,300\n")
    assert {name: list(each) for name, each in log_in(times).items()} == {"a-1": [100, 200], "a-2": [300]}


def test_two_processes_have_a_cpu_each_where_there_are_three() -> None:
    one, two = TRIALS[ONE], TRIALS[TWO]
    assert (client_cpus(one, [4, 5]), client_cpus(one, [4, 5, 6])) == ({5}, {5})
    assert (client_cpus(two, [4, 5]), client_cpus(two, [4, 5, 6])) == ({4, 5}, {5, 6})


def test_what_two_processes_carry_is_told_beside_what_one_carries() -> None:
    assert scaling(figures(carried_per_s=50_000.0), figures(carried_per_s=95_000.0)) == (
        "two load processes carry 1.90 times what one carries: 95,000 and 50,000 tokens/s, by CPU time"
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_a_round_compares_every_token_and_says_what_it_cost(workers: int) -> None:
    own = os.sched_getaffinity(0)
    cpus = [min(own), max(own)]
    try:
        found = one_round(Trial(title="tiny", load=Load(concurrency=2, requests=4), tokens=3, workers=workers), cpus, None)
    finally:
        os.sched_setaffinity(0, own)
    assert found.keys() == figures().keys()
    assert (found["requests"], found["lost"], found["open_loop"]) == (4, 0, 0)
    assert found["decoding_mb"] > 10
    assert found["first_p50_ms"] > -0.5


def test_the_documented_table_has_the_columns_and_loads_of_the_script() -> None:
    lines = (SCRIPT.parents[2] / "docs" / "fidelity.md").read_text("utf-8").splitlines()
    first = lines.index(head()[0])
    assert [line.split(" | ")[0] for line in lines[first + 2 : first + 2 + len(TRIALS)]] == [
        f"| {trial.title}" for trial in TRIALS.values()
    ]


def test_it_is_not_collected_as_a_suite() -> None:
    assert not SCRIPT.name.startswith("test_")
    assert ".bench." not in SCRIPT.name


@pytest.mark.parametrize("arguments", [["--cpus", "0"], ["--rounds", "0"]])
def test_wrong_usage_is_answered_with_what_is_right(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "--cpus takes two or three, the server's first and then the client's, and --rounds at least one" in done.stderr


def test_every_load_has_answers_of_a_known_length() -> None:
    assert {trial.tokens for trial in TRIALS.values()} == {4, 64}

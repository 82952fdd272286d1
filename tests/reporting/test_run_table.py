from __future__ import annotations

import json
from dataclasses import replace
from math import inf

from pytest_inferbench.cases.case import Load
from pytest_inferbench.reporting.run_table import axes_of, figures_of, run_table
from tests.reporting.examples import HOSTILE, broken_record, record, sweep, whole_run


def test_every_case_is_in_the_table_with_its_axes_figures_and_limits() -> None:
    (case,) = run_table([record()])["cases"]
    assert case["id"] == "cpu-llamacpp-smollm2-135m-tp1-d128x64-c4"
    assert case["axes"]["load"] == "4 users"
    assert case["axes"]["verdict"] == "pass"
    assert case["figures"]["ttft_p99"] == 100
    assert case["figures"]["user_speed"] == 50
    assert case["limits"] == [["ttft", "p99", "<=", 250], ["output_throughput", "", ">=", 20]]
    assert (case["level"], case["group"], case["expected"]) == (4, 0, False)


def test_groups_name_their_cases_by_place_lowest_load_first() -> None:
    records = [broken_record(), *(each for each, _ in reversed(sweep(levels=(1, 2, 4))))]
    table = run_table(records)
    assert [group["cases"] for group in table["groups"]] == [[3, 2, 1]]
    assert [case["group"] for case in table["cases"]] == [-1, 0, 0, 0]


def test_a_case_without_figures_says_why_instead() -> None:
    (case,) = run_table([broken_record()])["cases"]
    assert case["figures"] == {}
    assert "did not answer within 60 s" in case["why"]


def test_figures_that_are_no_numbers_are_left_out() -> None:
    base = record()
    assert base.summary is not None
    odd = replace(base, summary=replace(base.summary, scalars={**base.summary.scalars, "goodput": inf}))
    assert "goodput" in figures_of(base) or "goodput" not in base.summary.scalars
    assert "goodput" not in figures_of(odd)


def test_loads_have_words() -> None:
    base = record()

    def words(load: Load) -> str:
        return axes_of(replace(base, case=replace(base.case, load=load)))["load"]

    assert words(Load(concurrency=1)) == "1 user"
    assert words(Load(rate_per_s=2.5, arrival="poisson")) == "2.5 req/s"
    assert words(Load(rate_per_s=inf, arrival="poisson")) == "all at once"


def test_a_whole_run_is_plain_json() -> None:
    table = run_table([each for each, _ in whole_run()])
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    assert "\x1b" not in json.dumps(table["cases"][-1]["id"])
    assert table["cases"][-1]["axes"]["model"] == HOSTILE.removesuffix("\x1b[31m")

from __future__ import annotations

from dataclasses import replace
from math import isnan

from pytest_inferbench.cases.case import Load
from pytest_inferbench.reporting.heat_map import ROWS_MAX, heat_map
from pytest_inferbench.reporting.overview_charts import groups
from pytest_inferbench.reporting.run_table import figures_of
from tests.reporting.examples import sweep


def test_a_row_is_a_group_and_a_column_a_load() -> None:
    wide = [record for record, _ in sweep(levels=(1, 2, 8))]
    narrow = [record for record, _ in sweep("d128x16", levels=(2,), tokens=16)]
    found = heat_map(groups([*wide, *narrow]))
    assert found.rows == ("D(128,64)", "D(128,16)")
    assert found.columns == ("1 user", "2 users", "8 users")
    assert found.values[0] == tuple(figures_of(record)["ttft_p99"] for record in wide)
    assert [isnan(value) for value in found.values[1]] == [True, False, True]


def test_users_come_before_rates_and_each_lowest_first() -> None:
    (base,) = (record for record, _ in sweep(levels=(4,)))
    rates = [replace(base, case=replace(base.case, load=Load(rate_per_s=rate, arrival="poisson"))) for rate in (10, 2.5)]
    assert heat_map(groups([*rates, base])).columns == ("4 users", "2.5 req/s", "10 req/s")


def test_the_worst_of_several_cases_in_one_place_is_shown() -> None:
    (base,) = (record for record, _ in sweep(levels=(4,)))
    (worse,) = (record for record, _ in sweep(levels=(4,), seed=5))
    worst = max(figures_of(base)["ttft_p99"], figures_of(worse)["ttft_p99"])
    assert heat_map(groups([base, worse])).values == ((worst,),)


def test_groups_without_a_row_are_counted() -> None:
    (base,) = (record for record, _ in sweep(levels=(4,)))
    some = [replace(base, case=replace(base.case, model=f"model-{number}")) for number in range(ROWS_MAX + 3)]
    found = heat_map(groups(some))
    assert (len(found.rows), found.left_out) == (ROWS_MAX, 3)


def test_one_simulated_case_marks_the_whole_map() -> None:
    first, second = (record for record, _ in sweep(levels=(1, 2)))
    assert heat_map(groups([first, replace(second, simulated=True)])).simulated
    assert not heat_map(groups([first, second])).simulated

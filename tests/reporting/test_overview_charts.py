from __future__ import annotations

from dataclasses import replace
from math import inf

from pytest_inferbench.cases.case import EngineSpec, Load
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.overview_charts import (
    comparison_charts,
    groups,
    load_charts,
    load_level,
    pareto_chart,
    sweep_charts,
)
from tests.reporting.examples import all_failed, broken_record, record, sweep


def records(*levels: int) -> list[Record]:
    return [record for record, _ in sweep(levels=levels)]


def with_load(base: Record, load: Load) -> Record:
    return replace(base, case=replace(base.case, load=load))


def test_cases_that_differ_only_in_load_are_one_group_lowest_load_first() -> None:
    (group,) = groups(list(reversed(records(1, 2, 8))))
    assert group.axis == "concurrency"
    assert [load_level(each) for each in group.records] == [1, 2, 8]


def test_groups_are_named_by_what_tells_them_apart() -> None:
    short = [record for record, _ in sweep("d128x16", levels=(1, 2), tokens=16)]
    assert [group.name for group in groups([*records(1, 2), *short])] == ["D(128,64)", "D(128,16)"]


def test_a_group_alone_is_named_by_its_engine() -> None:
    assert [group.name for group in groups(records(1, 2))] == ["llamacpp"]


def test_engines_with_other_arguments_are_other_groups() -> None:
    (base,) = records(1)
    other = replace(base, case=replace(base.case, engine=EngineSpec(name="llamacpp", args=(("threads", 2),))))
    assert [group.name for group in groups([base, other])] == ["no arguments", "threads=2"]


def test_open_and_closed_loops_are_never_one_line() -> None:
    (base,) = records(1)
    open_loop = with_load(base, Load(rate_per_s=4, arrival="poisson"))
    assert [group.axis for group in groups([base, open_loop])] == ["concurrency", "rate"]


def test_cases_without_figures_are_in_no_chart() -> None:
    failed = record(all_failed())
    assert groups([broken_record(), failed]) == ()


def test_throughput_stands_against_latency_with_one_line_a_group() -> None:
    short = [record for record, _ in sweep("d128x16", levels=(1, 2), tokens=16)]
    charts = comparison_charts(groups([*records(1, 2, 4), *short]))
    assert [chart.title for chart in charts] == ["Throughput against TTFT", "Throughput against TPOT"]
    assert [len(series.x) for series in charts[0].series] == [3, 2]
    assert charts[0].series[0].hover[0] == "cpu-llamacpp-smollm2-135m-tp1-d128x64-c1"
    assert [limit.text for limit in charts[0].limits] == ["TTFT p99 ≤ 250"]


def test_a_limit_that_not_all_cases_share_is_not_drawn_for_all() -> None:
    some = records(1, 2)
    charts = comparison_charts(groups([some[0], record(of_case=some[1].case, ttft_limit_ms=99)]))
    assert charts[0].limits == ()


def test_a_sweep_shows_percentiles_and_throughput_against_load() -> None:
    (group,) = groups(records(1, 2, 4))
    charts = sweep_charts(group)
    assert [chart.title for chart in charts] == [
        "TTFT against throughput",
        "TTFT against load",
        "TPOT against load",
        "Throughput against load",
    ]
    assert [series.name for series in charts[1].series] == ["p50", "p90", "p99"]
    assert list(charts[1].series[0].x) == [1, 2, 4]
    assert list(charts[1].x.ticks) == [1, 2, 4]


def test_an_endless_rate_has_no_place_on_the_axis_and_the_chart_says_so() -> None:
    some = [with_load(each, Load(rate_per_s=rate, arrival="poisson")) for each, rate in zip(records(1, 2), (4, inf), strict=True)]
    (group,) = groups(some)
    against_throughput, against_load, *_ = sweep_charts(group)
    assert len(against_throughput.series[0].x) == 2
    assert list(against_load.series[0].x) == [4]
    assert against_load.note.startswith("A load without a limit has no place on this axis and is left out.")


def test_one_simulated_case_marks_the_whole_chart() -> None:
    some = records(1, 2)
    charts = comparison_charts(groups([some[0], replace(some[1], simulated=True)]))
    assert all(chart.simulated for chart in charts)


def test_output_for_each_gpu_stands_against_the_speed_of_a_user_with_its_front() -> None:
    (group,) = groups(records(1, 2, 4))
    chart = pareto_chart([group])
    front, cases = chart.series
    assert (chart.x.title, chart.y.title) == ("speed each user sees (1 / TPOT p50)", "output throughput per server")
    assert len(cases.x) == 3
    assert set(zip(front.x, front.y, strict=True)) <= set(zip(cases.x, cases.y, strict=True))
    assert chart.note == ""


def test_gpus_and_cpus_in_one_chart_say_how_a_cpu_counts() -> None:
    first, second = records(1, 2)
    on_gpu = replace(second, case=replace(second.case, hardware="h100"))
    assert "A CPU server counts as one GPU." in pareto_chart(groups([first, on_gpu])).note
    assert pareto_chart(groups([on_gpu])).y.title == "output throughput per GPU"


def test_sweeps_stand_against_their_load_and_single_cases_do_not() -> None:
    alone = [record for record, _ in sweep("d128x16", levels=(2,), tokens=16)]
    charts = load_charts(groups([*records(1, 2, 4), *alone]))
    assert [chart.title for chart in charts] == ["TTFT against load (users at once)", "TPOT against load (users at once)"]
    assert [[series.x for series in chart.series] for chart in charts] == [[(1, 2, 4)], [(1, 2, 4)]]
    assert [limit.text for limit in charts[0].limits] == ["TTFT p99 ≤ 250"]
    assert load_charts(groups(alone)) == ()

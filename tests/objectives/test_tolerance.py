from __future__ import annotations

from math import inf, log

import pytest

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.objectives.tolerance import STATISTICS, Tolerance, figure_of, parse_fail_on, parse_noise, tolerances_of


def test_several_tolerances_are_read_with_the_direction_of_their_metric() -> None:
    tpot, output, ttft = parse_fail_on("tpot_p50:5%, output_throughput:3%,ttft_p99:20ms")
    assert tpot == Tolerance(metric="tpot", statistic="p50", amount=0.05, relative=True)
    assert (output.metric, output.statistic, output.smaller_is_better) == ("output_throughput", None, False)
    assert (ttft.amount, ttft.relative, ttft.smaller_is_better) == (20.0, False, True)


@pytest.mark.parametrize("text", ["tpot_p50:5%", "ttft_p99:20ms", "error_rate:1%", "output_throughput:12.5tok/s", "e2e_max:150%"])
def test_what_is_printed_is_read_back(text: str) -> None:
    (found,) = parse_fail_on(text)
    assert found.text == text
    assert parse_fail_on(found.text) == (found,)


def test_the_limit_is_a_logarithm_in_the_direction_of_worse() -> None:
    tpot, output, ttft, errors = parse_fail_on("tpot_p50:5%,output_throughput:5%,ttft_p99:20ms,error_rate:1%")
    assert tpot.limit(10) == pytest.approx(log(1.05))
    assert output.limit(10) == pytest.approx(-log(0.95))
    assert ttft.limit(100) == pytest.approx(log(1.2))
    assert errors.limit(0.0) == pytest.approx(0.01)


def test_a_quantity_that_is_the_whole_of_a_throughput_can_never_be_lost() -> None:
    (found,) = parse_fail_on("output_throughput:50tok/s")
    assert found.limit(40) == inf


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no figure is named; write some such as tpot_p50:5%"),
        ("tpot_p50", "'tpot_p50' is no tolerance; write a figure and how much worse it may get"),
        ("tpot_p50:5%,", "'' is no tolerance"),
        ("tpot_p50:", "'tpot_p50:' is no tolerance"),
        ("tpot_p50:5%,tpot_p50:3%", "tpot_p50 is given twice; keep one"),
        ("tpto_p50:5%", "'tpto_p50:5%': 'tpto' is not a metric; did you mean tpot"),
        ("tpot:5%", "tpot has many values; say which statistic: tpot_p50"),
        ("tpot_p99.9:5%", "'p99.9' is not kept of tpot; write one of mean, p50"),
        ("output_throughput_p50:5%", "output_throughput is one number and has no p50; write output_throughput"),
        ("throughput:5%", "'throughput' is not a metric"),
        ("steady_window:5%", "steady_window says how long something was measured"),
        ("tpot_p50:5", "5 of what? write 5%, or 5 ms"),
        ("tpot_p50:5tok/s", "is a token rate, but a time belongs here"),
        ("tpot_p50:fast", "is not a quantity"),
        ("tpot_p50:0%", "no two runs are exactly alike; give a tolerance above 0"),
        ("tpot_p50:-5%", "give a tolerance above 0"),
        ("output_throughput:100%", "nothing can get worse by 100 %; give a tolerance below 100 %"),
        ("error_rate:100%", "nothing can get worse by 100 %"),
        ("error_rate:1", "1 of what? write 1%"),
    ],
)
def test_what_cannot_be_a_tolerance_is_refused_in_words(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_fail_on(text)
    assert problem in refused.value.problem


def test_noise_is_a_share() -> None:
    assert (parse_noise("3%"), parse_noise("0.02")) == (0.03, 0.02)


@pytest.mark.parametrize("text", ["0%", "100%", "-3%", "3"])
def test_noise_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no noise between runs; write a percentage above 0 and below 100, such as 3%"):
        parse_noise(text)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_every_statistic_that_is_kept_is_a_figure(statistic: str) -> None:
    assert figure_of(f"ttft_from_send_{statistic}") == ("ttft_from_send", statistic)


def test_tolerances_of_a_case_are_read_where_it_stands() -> None:
    assert tolerances_of(()) == ()
    assert [each.name for each in tolerances_of(("tpot_p50:5%", "ttft_p99:20ms"))] == ["tpot_p50", "ttft_p99"]
    with pytest.raises(ConfigError, match="tpott_p50") as caught:
        tolerances_of(("tpott_p50:5%",), file="a.bench.yaml")
    assert (caught.value.file, caught.value.field) == ("a.bench.yaml", "fail_on")

from __future__ import annotations

from math import isnan, sqrt

import numpy as np
import pytest

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.summary import Counts
from pytest_inferbench.records.block_errors import block_errors, share_error
from tests.traces import MS, streamed, traces_of


def measured(ttft_ms: list[float], *, open_loop: bool = False) -> Traces:
    rows = [streamed(each, sent_ns=i * 1000 * MS) for i, each in enumerate(ttft_ms)]
    return traces_of(rows, open_loop=open_loop)


def test_the_error_of_a_mean_is_that_of_the_means_of_its_blocks() -> None:
    ttft_ms = [float(100 + 10 * (i // 4)) for i in range(40)]
    blocks = np.array([100.0 + 10 * i for i in range(10)])
    expected = np.std(blocks, ddof=1) / sqrt(10) / blocks.mean()
    assert block_errors(measured(ttft_ms))["ttft_mean"] == pytest.approx(expected)


def test_neighbours_that_depend_on_each_other_make_a_figure_less_sure_than_their_number_says() -> None:
    random = np.random.default_rng(3)
    alone = random.normal(0, 10, 200)
    together = np.repeat(random.normal(0, 10, 20), 10)
    errors = [block_errors(measured(list(200 + each)))["ttft_mean"] for each in (alone, together)]
    assert errors[1] > 1.5 * errors[0]


def test_throughput_of_a_closed_loop_is_as_sure_as_its_latency_and_that_of_an_open_one_is_not_known() -> None:
    ttft_ms = [float(100 + i % 7) for i in range(40)]
    closed, opened = block_errors(measured(ttft_ms)), block_errors(measured(ttft_ms, open_loop=True))
    assert closed["output_throughput"] == closed["e2e_mean"]
    assert "e2e_mean" in opened
    assert "output_throughput" not in opened


def test_too_few_requests_say_nothing() -> None:
    assert "ttft_mean" not in block_errors(measured([100.0] * 19))
    assert "ttft_mean" in block_errors(measured([100.0] * 20))
    assert block_errors(measured([])) == {}


def test_a_percentile_needs_values_beyond_it_in_every_block() -> None:
    few, enough = block_errors(measured([100.0] * 99)), block_errors(measured([100.0] * 100))
    assert "ttft_p50" not in few
    assert "ttft_p50" in enough
    assert "ttft_p90" not in enough


def test_the_largest_of_all_has_no_error_that_is_known() -> None:
    assert "ttft_max" not in block_errors(measured([100.0] * 40))


def test_a_share_of_nothing_lost_is_not_sure_to_be_nothing() -> None:
    counts = Counts(attempted=99, completed=99, failed=0, timed_out=0, cancelled=0)
    assert share_error(counts) == pytest.approx(sqrt(0.005 * 0.995 / 99))
    assert isnan(share_error(Counts(attempted=0, completed=0, failed=0, timed_out=0, cancelled=0)))

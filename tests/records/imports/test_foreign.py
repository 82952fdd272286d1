from __future__ import annotations

from math import isnan, nan

from pytest_inferbench.metrics.summary import Counts
from pytest_inferbench.records.imports.foreign import counts_of, distribution, error_rate, own, says_simulated


def test_what_a_tool_does_not_tell_is_nan() -> None:
    found = distribution({"mean": 1.0, "p99": 3.0}, count=7)
    assert (found.count, found.mean, found.p99) == (7, 1.0, 3.0)
    assert isnan(found.p50)
    assert isnan(found.max)


def test_a_tools_own_figure_has_the_tools_name() -> None:
    assert own("nm-vllm", "tpot_ms", {"mean": 2.0, "p99": nan}) == {"nm_vllm_tpot_ms_mean": 2.0}


def test_books_balance() -> None:
    counts = counts_of(attempted=10, completed=7, cancelled=1)
    assert counts == Counts(attempted=10, completed=7, failed=2, timed_out=0, cancelled=1)
    assert error_rate(counts) == 0.3
    assert isnan(error_rate(counts_of(attempted=0, completed=0)))


def test_a_mark_may_be_a_boolean_or_a_text() -> None:
    assert [says_simulated(mark) for mark in (True, "true", "True", "false", None, False)] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]

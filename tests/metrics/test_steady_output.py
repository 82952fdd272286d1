"""Throughput of the steady part of a load."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import numpy as np
import pytest

from pytest_inferbench.load.trace import Outcome
from pytest_inferbench.metrics.summarise import summarise
from tests.traces import lost, streamed, traces_of


def test_ramp_up_and_drain_are_in_the_whole_figure_and_not_in_the_steady_one() -> None:
    # Ten users, one more every 100 ms, each with a request of 2 s: a token every 100 ms.
    summary = summarise(traces_of([streamed(100, 100, tokens=20, sent_ns=user * 10**8) for user in range(10)]))
    assert summary.window_s == pytest.approx(2.9)
    assert summary.scalars["output_throughput"] == pytest.approx(200 / 2.9)
    assert isnan(summary.scalars["steady_window"]), "no request began and ended while nine users were there"
    long = summarise(
        traces_of([streamed(100, 100, tokens=20, sent_ns=user * 10**8 + i * 2 * 10**9) for user in range(10) for i in range(5)])
    )
    assert long.scalars["steady_window"] == pytest.approx(9.3)
    assert long.scalars["steady_output_throughput"] == pytest.approx(100, rel=0.03)
    assert long.scalars["output_throughput"] == pytest.approx(1000 / 10.9)


def test_a_load_that_never_was_steady_has_no_steady_figure() -> None:
    scalars = summarise(traces_of([streamed()], open_loop=True)).scalars
    assert isnan(scalars["steady_window"])
    assert isnan(scalars["steady_output_throughput"])


def test_only_failures_carried_nothing_while_steady() -> None:
    assert summarise(traces_of([lost(Outcome.FAILED)])).scalars["steady_output_throughput"] == 0.0


def test_answers_that_came_whole_make_it_unknown_and_not_smaller() -> None:
    traces = traces_of([streamed(tokens=2), streamed(tokens=2)])
    whole = replace(traces, event_offset=np.array([0, 2, 2]), event_ns=traces.event_ns[:2], event_tokens=traces.event_tokens[:2])
    scalars = summarise(whole).scalars
    assert scalars["steady_window"] > 0
    assert isnan(scalars["steady_output_throughput"])

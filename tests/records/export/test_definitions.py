from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.load.trace import MISSING, Traces
from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.metrics.output_token import tpot_ms
from pytest_inferbench.records.export import definitions
from tests.records.export.measured import uneven_traces
from tests.traces import MS, Row, lost, rows, streamed, traces_of


# T = 0.1 s, last token after 0.2 s, end after 0.21 s, four tokens in chunks of 1, 2 and 1; and one token after 0.03 s.
@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (definitions.to_first_token_s, [0.1, 0.03]),
        (definitions.to_first_byte_s, [0.1, 0.03]),
        (definitions.to_last_token_s, [0.2, 0.03]),
        (definitions.to_end_s, [0.21, 0.03]),
        (definitions.output_tokens, [4, 1]),
        (definitions.prompt_tokens, [10, 20]),
        (definitions.vllm_tpot_s, [0.1 / 3, nan]),
        (definitions.genai_bench_tpot_s, [0.11 / 3, nan]),
        (definitions.guidellm_tpot_s, [0.2 / 4, 0.03 / 1]),
        (definitions.guidellm_itl_s, [0.1 / 3, 0.0]),
        (definitions.aiperf_itl_s, [0.1 / 3, nan]),
        (definitions.ntpot_s, [0.21 / 4, 0.03]),
        (definitions.lpg_tpot_s, [0.21 / 4, 0.03]),
        (definitions.inference_perf_ttft_s, [0.1, nan]),
        (definitions.inference_perf_tpot_s, [0.1 / 3, nan]),
        (definitions.inferx_tpot_s, [(0.21 - 0.1) / 4, 0.0]),
        # Pooled: three chunks have two gaps, and four tokens have three, one of them nothing.
        (definitions.vllm_itl_s, [0.04, 0.06]),
        (definitions.inference_perf_itl_s, [0.04, 0.0, 0.06]),
    ],
)
def test_each_tools_figure_is_what_one_computes_by_hand(
    definition: Callable[[Traces], Samples], expected: Sequence[float]
) -> None:
    assert definition(uneven_traces()) == pytest.approx(expected, nan_ok=True)


def test_aiperf_takes_all_tokens_of_the_first_chunk_off() -> None:
    first_of_two = Row(events=((100 * MS, 2), (200 * MS, 2)))
    assert definitions.aiperf_itl_s(traces_of([first_of_two])) == pytest.approx([0.1 / 2])


def test_aiperf_takes_one_token_off_where_the_first_chunk_is_the_whole_answer() -> None:
    assert definitions.aiperf_itl_s(traces_of([Row(events=((100 * MS, 3),))])) == pytest.approx([0.0])


def test_genai_bench_has_no_tpot_for_an_answer_of_less_than_a_millisecond() -> None:
    quick = streamed(100, 0.3, tokens=3)
    slow = streamed(100, 0.5, tokens=3)
    assert definitions.genai_bench_tpot_s(traces_of([quick, slow])) == pytest.approx([nan, 0.0005], nan_ok=True)


def test_latencies_count_from_the_send_even_in_an_open_loop() -> None:
    late = Row(intended_ns=0, sent_ns=50 * MS, events=((80 * MS, 1),))
    assert definitions.to_first_token_s(traces_of([late], open_loop=True)) == pytest.approx([0.03])


def test_an_answer_that_came_whole_has_an_end_and_nothing_before() -> None:
    whole = replace(traces_of([Row(end_ns=90 * MS, output_tokens=7)]))
    assert definitions.to_last_token_s(whole) == pytest.approx([0.09])
    assert np.isnan(definitions.to_first_token_s(whole)).all()
    assert np.isnan(definitions.vllm_tpot_s(whole)).all()
    assert definitions.ntpot_s(whole) == pytest.approx([0.09 / 7])


def test_an_answer_without_tokens_divides_by_nothing() -> None:
    empty = traces_of([Row(end_ns=90 * MS, output_tokens=0)])
    assert definitions.ntpot_s(empty) == pytest.approx([0.0])
    assert definitions.guidellm_tpot_s(empty) == pytest.approx([0.0])
    assert np.isnan(definitions.lpg_tpot_s(empty)).all()
    assert np.isnan(definitions.inferx_tpot_s(empty)).all()


def test_tokens_that_nobody_counted_are_not_known() -> None:
    traces = replace(uneven_traces(), output_tokens=np.full(3, MISSING), prompt_tokens=np.full(3, MISSING))
    assert np.isnan(definitions.output_tokens(traces)).all()
    assert definitions.prompt_tokens(traces).tolist() == [16, 16], "those asked for"


@given(st.lists(rows(), max_size=8))
def test_definitions_agree_where_they_mean_the_same(requests: list[Row]) -> None:
    traces = traces_of(requests)
    tpot = definitions.vllm_tpot_s(traces)
    assert tpot[~np.isnan(tpot)] * 1e3 == pytest.approx(tpot_ms(traces))
    itl, gaps = definitions.inference_perf_itl_s(traces), definitions.vllm_itl_s(traces)
    assert itl.sum() == pytest.approx(gaps.sum())
    assert len(definitions.to_end_s(traces)) == int(traces.completed.sum())


def test_requests_that_did_not_complete_are_in_no_figure() -> None:
    assert definitions.to_end_s(traces_of([lost(), lost()])).size == 0
    assert definitions.inference_perf_itl_s(traces_of([replace(lost(), events=((1, 1), (9, 1)))])).size == 0

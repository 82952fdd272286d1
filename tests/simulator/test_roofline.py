"""How long a step takes, held against sums by hand, and against what no hardware can beat."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator.deployment import Deployment, ModelShape
from pytest_inferbench.simulator.roofline import (
    Chunk,
    Pace,
    StepWork,
    all_reduce_s,
    attention_compute_s,
    attention_flops,
    bytes_per_number,
    cache_memory_s,
    expert_parameters,
    experts_touched,
    keys_seen,
    kv_copies,
    max_decode_tokens_per_s,
    max_tokens_per_s,
    min_prefill_s,
    min_tpot_s,
    overhead_s,
    peak_flops_per_s,
    step_time_s,
    step_work,
    token_flops,
    weight_bytes,
    weight_bytes_read,
    weight_compute_s,
    weight_memory_s,
    window_bytes_per_token,
)
from tests.simulator.deployments import DENSE, GPU, MIXTURE, WINDOWED, deployment

deployments = st.builds(
    deployment,
    st.sampled_from([DENSE, MIXTURE, WINDOWED, replace(DENSE, weight_dtype="fp8")]),
    tensor_parallel=st.sampled_from([1, 2, 8]),
    layer_overhead_s=st.sampled_from([0.0, 1e-5]),
    mixture_overhead_s=st.sampled_from([0.0, 5e-5]),
)
chunks = st.builds(Chunk, st.integers(1, 3000), st.integers(0, 3000))
contexts = st.lists(st.integers(1, 5000), max_size=40)


def works(model: ModelShape) -> st.SearchStrategy[StepWork]:
    return st.builds(
        lambda prompts, lengths: step_work(model, prompts=prompts, contexts=lengths), st.lists(chunks, max_size=4), contexts
    )


def test_a_lone_token_of_a_dense_model_takes_as_long_as_its_weights_and_cache_take_to_read() -> None:
    took_s = step_time_s(deployment(), step_work(DENSE, contexts=[1000]))
    assert took_s == pytest.approx((16e9 + 1000 * 131_072) / (3e12 * 0.8) + 500e-6 + 5e-6, rel=1e-12)


def test_a_long_prompt_takes_as_long_as_its_arithmetic() -> None:
    took_s = step_time_s(deployment(), step_work(DENSE, prompts=[Chunk(2000)]))
    attention = 4 * 32 * 128 * 32 * (2000 * 2001 // 2)
    assert took_s == pytest.approx((2 * 8e9 * 2000 + attention) / (1000e12 * 0.6) + 500e-6 + 5e-6, rel=1e-12)


def test_matrices_and_attention_run_one_after_the_other() -> None:
    """Matrices of many tokens are bound by arithmetic, and the long contexts beside them by memory: neither hides the other."""
    took_s = step_time_s(deployment(), step_work(DENSE, prompts=[Chunk(1000)], contexts=[8000] * 100))
    matrices_s = 2 * 8e9 * 1100 / (1000e12 * 0.6)
    cache_s = (1000 + 100 * 8000) * 131_072 / (3e12 * 0.8)
    assert matrices_s > 16e9 / (3e12 * 0.8)
    assert took_s == pytest.approx(matrices_s + cache_s + 500e-6 + 101 * 5e-6, rel=1e-12)


def test_a_second_piece_of_a_prompt_attends_to_the_first() -> None:
    assert keys_seen(Chunk(3, 10)) == 11 + 12 + 13
    assert attention_flops(DENSE, 36, 0) == 4 * 32 * 128 * 32 * 36


@given(chunks, st.integers(1, 4000))
def test_keys_in_a_window_are_the_sum_over_tokens(chunk: Chunk, window: int) -> None:
    assert keys_seen(chunk, window) == sum(min(chunk.before + i, window) for i in range(1, chunk.tokens + 1))


def test_layers_with_a_window_do_not_get_dearer_beyond_it() -> None:
    windowed = deployment(WINDOWED)
    at_window, beyond = (step_time_s(windowed, step_work(WINDOWED, contexts=[length])) for length in (64, 1064))
    assert beyond - at_window == pytest.approx(1000 * 65_536 / (3e12 * 0.8), rel=1e-9)
    assert window_bytes_per_token(WINDOWED) == 16 * 2 * 8 * 128 * 2


def test_a_mixture_reads_the_experts_that_its_tokens_pass_through() -> None:
    assert expert_parameters(MIXTURE) == pytest.approx(16e9 / 0.75)
    assert experts_touched(MIXTURE, 1) == 2
    assert experts_touched(MIXTURE, 2) == pytest.approx(8 * (1 - 0.75**2))
    # A lone token reads what it passes through, many read all.
    assert weight_bytes_read(MIXTURE, 1) == pytest.approx(8e9 * 2)
    assert weight_bytes_read(MIXTURE, 1000) == pytest.approx(24e9 * 2)
    assert weight_bytes_read(DENSE, 1) == 16e9
    assert weight_bytes_read(replace(MIXTURE, experts_per_token=8, active_parameters=24_000_000_000), 1) == 48e9
    assert experts_touched(DENSE, 5) == 0.0


def test_a_table_that_is_only_looked_up_is_not_read() -> None:
    looked_up = replace(DENSE, active_parameters=7_500_000_000)
    assert weight_bytes_read(looked_up, 1) == weight_bytes_read(looked_up, 1000) == 15e9
    assert weight_bytes(looked_up) == 16e9


def test_an_all_reduce_is_a_ring_twice_a_layer() -> None:
    each_s = 2 * 3 / 4 * (10 * 4096 * 2) / (450e9 * 0.7) + 2 * 3 * 1e-6
    assert all_reduce_s(deployment(tensor_parallel=4), 10) == pytest.approx(2 * 32 * each_s, rel=1e-12)
    assert all_reduce_s(deployment(), 10) == 0.0


def test_tokens_cost_two_operations_a_parameter_and_sequences_an_overhead() -> None:
    assert token_flops(MIXTURE, 3) == 2 * 8e9 * 3
    assert overhead_s(deployment(), 100) == pytest.approx(500e-6 + 500e-6)
    small_kernels: dict[str, Any] = {"layer_overhead_s": 10e-6, "mixture_overhead_s": 50e-6}
    assert overhead_s(deployment(**small_kernels), 0) == pytest.approx(500e-6 + 32 * 10e-6)
    assert overhead_s(deployment(MIXTURE, **small_kernels), 0) == pytest.approx(500e-6 + 32 * 60e-6)


@pytest.mark.parametrize(
    ("dtype", "peak"),
    [("bf16", 2000e12), ("fp8", 4000e12), ("int4", 2000e12), ("mxfp4", 2000e12), ("int8", 2000e12)],
)
def test_a_dtype_without_a_peak_of_its_own_runs_as_bf16(dtype: str, peak: float) -> None:
    assert peak_flops_per_s(deployment(tensor_parallel=2), dtype) == peak


def test_fp4_weights_use_fp4_arithmetic_where_there_is_some() -> None:
    gpu = replace(GPU, flops_per_s={"bf16": 1.0, "fp4": 4.0})
    assert peak_flops_per_s(deployment(accelerator=gpu), "mxfp4") == 4.0


def test_a_cache_with_fewer_heads_than_ranks_is_held_more_than_once() -> None:
    assert kv_copies(deployment(tensor_parallel=8)) == 1
    assert kv_copies(deployment(replace(DENSE, kv_heads=1), tensor_parallel=8)) == 8


def test_a_dtype_that_is_not_known_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^'int3' is not a dtype that the simulator knows; known are fp32, bf16"):
        bytes_per_number("int3")


@given(st.data())
def test_the_quick_way_says_what_the_terms_say(data: st.DataObject) -> None:
    subject = data.draw(deployments)
    work = data.draw(works(subject.model))
    assert Pace(subject).step_s(work) == pytest.approx(step_time_s(subject, work), rel=1e-12)


@given(st.data())
def test_a_step_is_matrices_then_attention_each_the_larger_of_arithmetic_and_memory_then_exchange_and_overhead(
    data: st.DataObject,
) -> None:
    subject: Deployment = data.draw(deployments)
    lengths = data.draw(st.lists(st.integers(1, 5000), min_size=1, max_size=40))
    work = step_work(subject.model, contexts=lengths)
    count, keys, seen = work.decodes, work.context_tokens, work.window_tokens
    assert step_time_s(subject, work) == pytest.approx(
        max(weight_compute_s(subject, count), weight_memory_s(subject, count))
        + max(
            attention_compute_s(subject, keys=keys, window_keys=seen),
            cache_memory_s(subject, full_tokens=keys, window_tokens=seen),
        )
        + all_reduce_s(subject, count)
        + overhead_s(subject, count)
    )


@given(st.data())
def test_more_work_never_takes_less(data: st.DataObject) -> None:
    subject: Deployment = data.draw(deployments)
    prompts, lengths = data.draw(st.lists(chunks, max_size=4)), data.draw(contexts)
    more_prompts, more = data.draw(st.lists(chunks, max_size=4)), data.draw(contexts)
    longer = [length + data.draw(st.integers(0, 50)) for length in lengths]
    less = step_time_s(subject, step_work(subject.model, prompts=prompts, contexts=lengths))
    with_more = step_time_s(subject, step_work(subject.model, prompts=prompts + more_prompts, contexts=longer + more))
    assert with_more >= less


@given(st.data())
def test_no_step_beats_the_roofline(data: st.DataObject) -> None:
    subject: Deployment = data.draw(deployments)
    lengths = data.draw(st.lists(st.integers(1, 5000), min_size=1, max_size=40))
    took_s = step_time_s(subject, step_work(subject.model, contexts=lengths))
    assert len(lengths) / took_s < max_decode_tokens_per_s(subject, sequences=len(lengths), context_tokens=min(lengths))
    assert len(lengths) / took_s < max_tokens_per_s(subject)
    assert took_s > min_tpot_s(subject, min(lengths))
    tokens = data.draw(st.integers(1, 20_000))
    assert step_time_s(subject, step_work(subject.model, prompts=[Chunk(tokens)])) > min_prefill_s(subject, tokens)
    assert tokens / min_prefill_s(subject, tokens) < max_tokens_per_s(subject)


@given(deployments, st.integers(1, 300), st.integers(1, 5000))
def test_the_bound_of_more_sequences_is_never_lower(subject: Deployment, sequences: int, context_tokens: int) -> None:
    fewer = max_decode_tokens_per_s(subject, sequences=sequences, context_tokens=context_tokens)
    assert max_decode_tokens_per_s(subject, sequences=sequences + 1, context_tokens=context_tokens) >= fewer * (1 - 1e-12)
    assert max_decode_tokens_per_s(subject, sequences=1, context_tokens=context_tokens) == pytest.approx(
        1 / min_tpot_s(subject, context_tokens)
    )

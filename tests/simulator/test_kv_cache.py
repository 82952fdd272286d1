"""The paged cache: its size, what it shares, what it lets go first, and how an engine says that there is no room."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.simulator.kv_cache import (
    BlockPool,
    DoesNotFit,
    Holding,
    cache_bytes_per_token,
    capacity_blocks,
    context_tokens,
    reserve_bytes,
    window_blocks,
)
from tests.simulator.deployments import DENSE, GPU, WINDOWED, deployment

GIB = 2**30
SMALL = replace(GPU, memory_bytes=17 * GIB)


def filled(pool: BlockPool, prefix: tuple[int, ...]) -> Holding:
    """A sequence of as many full blocks, computed from scratch or shared."""
    holding = Holding()
    known = pool.known(prefix, blocks_max=len(prefix))
    assert pool.admits(prefix, known=known, blocks=len(prefix))
    pool.share(holding, prefix, known=known)
    assert pool.take(len(prefix) - known)
    holding.own += len(prefix) - known
    pool.fill(holding, prefix, full=len(prefix))
    return holding


def test_what_was_let_go_is_known_until_its_room_is_needed() -> None:
    pool = BlockPool(4)
    pool.release(filled(pool, (1, 2, 3)))
    assert (pool.free, pool.usage, pool.known((1, 2, 3), blocks_max=3)) == (4, 0.0, 3)
    # One block is empty; the second one comes from the end of the sequence that was let go.
    assert pool.take(2)
    assert pool.known((1, 2, 3), blocks_max=3) == 2


def test_the_sequence_that_was_let_go_first_makes_room_first() -> None:
    pool = BlockPool(4)
    first, second = filled(pool, (1, 2)), filled(pool, (3, 4))
    pool.release(first)
    pool.release(second)
    assert pool.take(2)
    assert (pool.known((1, 2), blocks_max=2), pool.known((3, 4), blocks_max=2)) == (0, 2)


def test_two_sequences_share_what_they_begin_with() -> None:
    pool = BlockPool(4)
    one, two = filled(pool, (1, 2, 3)), filled(pool, (1, 2, 4))
    assert pool.held == 4
    pool.release(one)
    assert (pool.held, pool.usage) == (3, 0.75)
    pool.release(two)
    assert (pool.held, pool.free) == (0, 4)


def test_a_block_after_an_unknown_one_is_unknown() -> None:
    pool = BlockPool(4)
    pool.release(filled(pool, (1, 2, 3)))
    assert pool.known((1, 9, 3), blocks_max=3) == 1
    assert pool.known((1, 2, 3), blocks_max=2) == 2


def test_no_block_is_taken_where_too_few_are_free() -> None:
    pool = BlockPool(2)
    assert not pool.take(3)
    assert pool.free == 2


def test_idle_blocks_that_are_shared_are_no_room_for_others() -> None:
    pool = BlockPool(3)
    pool.release(filled(pool, (1, 2, 3)))
    assert pool.admits((1, 2), known=2, blocks=3)
    assert not pool.admits((1, 2), known=2, blocks=4)


def test_a_block_that_is_computed_twice_is_known_once() -> None:
    pool = BlockPool(4)
    one, two = filled(pool, (1,)), Holding()
    assert pool.take(1)
    two.own = 1
    pool.fill(two, (1,), full=1)
    assert (two.known, two.own, pool.held) == ([], 1, 2)
    pool.release(one)
    pool.release(two)
    assert pool.free == 4


def test_a_block_that_was_idle_and_is_computed_again_is_held_once() -> None:
    pool = BlockPool(4)
    pool.release(filled(pool, (1,)))
    holding = Holding(own=1)
    assert pool.take(1)
    pool.fill(holding, (1,), full=1)
    assert (holding.known, holding.own, pool.held, pool.free) == ([1], 0, 1, 3)


def test_without_prefix_caching_nothing_is_known() -> None:
    pool = BlockPool(4, prefix_caching=False)
    pool.release(filled(pool, (1, 2)))
    assert pool.known((1, 2), blocks_max=2) == 0


def test_the_cache_is_forgotten_only_while_nobody_holds_a_block() -> None:
    pool = BlockPool(4)
    holding = filled(pool, (1, 2))
    assert not pool.forget()
    pool.release(holding)
    assert pool.forget()
    assert (pool.known((1, 2), blocks_max=2), pool.free) == (0, 4)


@given(st.integers(1, 12), st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3), st.booleans()), max_size=30))
def test_held_idle_and_empty_blocks_always_make_the_capacity(capacity: int, moves: list[tuple[int, int, bool]]) -> None:
    pool, held = BlockPool(capacity), list[Holding]()
    for blocks, family, let_go in moves:
        if let_go and held:
            pool.release(held.pop(0))
            continue
        prefix = tuple(family * 100 + position for position in range(blocks))
        if pool.admits(prefix, known=(known := pool.known(prefix, blocks_max=blocks)), blocks=blocks):
            held.append(filled(pool, prefix))
            assert len(held[-1].known) >= known
        different = {block for holding in held for block in holding.known}
        assert pool.held == len(different) + sum(holding.own for holding in held) <= capacity
    for holding in held:
        pool.release(holding)
    assert (pool.held, pool.free) == (0, capacity)


# --- how large it is --------------------------------------------------------------------------------------------------------


def test_the_cache_is_what_weights_and_reserve_leave_of_the_share() -> None:
    subject = deployment()
    reserve = 1.5 * GIB + 24 * 2048 * 4096 + 8 * 256 * 128_000
    assert reserve_bytes(subject) == reserve
    assert capacity_blocks(subject) == int((80 * GIB * 0.9 - 16e9 - reserve) // (16 * 131_072))


def test_ranks_share_weights_and_cache() -> None:
    reserve = reserve_bytes(deployment())
    assert capacity_blocks(deployment(tensor_parallel=2)) == int((80 * GIB * 0.9 - 8e9 - reserve) // (16 * 131_072 / 2))


@pytest.mark.parametrize(
    ("share_of", "left"),
    [
        ("static", 80 * GIB * 0.9 - 16e9),
        ("free", (80 * GIB - 16e9 - reserve_bytes(deployment())) * 0.9),
    ],
)
def test_engines_mean_different_things_by_a_share_of_the_memory(share_of: str, left: float) -> None:
    assert capacity_blocks(deployment(share_of=share_of)) == int(left // (16 * 131_072))


def test_an_engine_that_is_told_the_size_takes_no_more() -> None:
    assert capacity_blocks(deployment(cache_tokens=8192, max_running=4)) == 512
    # And no more than its sequences can be long.
    assert capacity_blocks(deployment(cache_tokens=10**6, max_running=2)) == 2 * 32_768 // 16


def test_layers_with_a_window_take_a_constant_number_of_blocks() -> None:
    subject = deployment(WINDOWED)
    assert cache_bytes_per_token(subject) == 65_536
    assert [window_blocks(subject, tokens) for tokens in (1, 16, 64, 10_000)] == [1, 1, 4, 4]
    assert window_blocks(deployment(), 10_000) == 0


def test_the_longest_context_is_the_model_s_own_unless_it_is_made_shorter() -> None:
    assert context_tokens(deployment()) == 32_768
    assert context_tokens(replace(deployment(), context_tokens=4096)) == 4096
    assert context_tokens(replace(deployment(), context_tokens=99_999)) == 32_768


# --- no room ----------------------------------------------------------------------------------------------------------------

NUMBERS = (
    r"\(simulated: dense-8b on 1 x gpu: of 17.00 GiB a device 0.90 may be used; weights take 14.90 GiB, "
    r"activations and runtime 1.93 GiB; more devices, a smaller dtype or less context help\)$"
)


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("vllm", r"^ValueError: No available memory for the cache blocks\. Try increasing `gpu_memory_utilization` when"),
        ("sglang", r"^RuntimeError: Not enough memory\. Please try to increase --mem-fraction-static\."),
        ("tgi", r"^RuntimeError: Not enough memory to handle 2048 prefill tokens\. You need to decrease `--max-batch-prefill"),
        ("trtllm", r"^torch\.OutOfMemoryError: CUDA out of memory\. Tried to allocate 18\.\d\d GiB\. GPU 0 has a total capacity"),
    ],
)
def test_a_cache_without_room_is_said_as_the_engine_says_it(engine: str, words: str) -> None:
    with pytest.raises(DoesNotFit, match=words) as caught:
        capacity_blocks(deployment(accelerator=SMALL, name=engine))
    assert caught.match(NUMBERS)


@pytest.mark.parametrize(
    ("engine", "device", "words"),
    [
        (
            "vllm",
            "gpu",
            r"^torch\.OutOfMemoryError: CUDA out of memory\. Tried to allocate 14\.90 GiB\. GPU 0 has a total capacity of 8",
        ),
        (
            "llamacpp",
            "gpu",
            r"^ggml_backend_cuda_buffer_type_alloc_buffer: allocating 15258\.79 MiB on device 0: cudaMalloc failed",
        ),
        ("vllm", "cpu", r"^RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 16000000000 bytes"),
    ],
)
def test_weights_without_room_are_said_as_the_engine_says_it(engine: str, device: str, words: str) -> None:
    small = replace(GPU, name=device, memory_bytes=8 * GIB)
    with pytest.raises(DoesNotFit, match=words):
        capacity_blocks(deployment(accelerator=small, name=engine))


def test_a_cache_of_a_size_that_was_asked_for_needs_its_room() -> None:
    asked = replace(deployment(accelerator=SMALL, name="llamacpp", cache_tokens=100_000, share_of="free"), model=DENSE)
    with pytest.raises(DoesNotFit, match=r"cudaMalloc failed: out of memory\. \(simulated: dense-8b"):
        capacity_blocks(asked)


def test_vllm_insists_on_room_for_one_sequence_of_the_longest_context() -> None:
    gpu = replace(GPU, memory_bytes=20 * GIB)
    with pytest.raises(
        DoesNotFit,
        match=r"^ValueError: To serve at least one request with the model's max seq len \(32768\), "
        r"\(4\.00 GiB KV cache is needed, which is larger than the available KV cache memory \(\d\.\d\d GiB\)\."
        r".* maximum model length is \d+\. "
        r"Try increasing `gpu_memory_utilization` or decreasing `max_model_len`",
    ):
        capacity_blocks(deployment(accelerator=gpu))
    assert capacity_blocks(replace(deployment(accelerator=gpu), context_tokens=4096)) > 256
    assert capacity_blocks(deployment(accelerator=gpu, name="sglang")) < 32_768 // 16


def test_a_cpu_needs_no_context_of_a_gpu() -> None:
    assert reserve_bytes(deployment()) - reserve_bytes(deployment(accelerator=replace(GPU, name="cpu"))) == GIB


def test_a_model_of_windows_only_keeps_its_windows_in_blocks() -> None:
    only = deployment(replace(WINDOWED, window_layers=32, kv_bytes_per_token=0))
    assert cache_bytes_per_token(only) == 131_072
    assert window_blocks(only, 1000) == 0

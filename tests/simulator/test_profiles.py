"""How engines batch by default, by the accelerator, and by their own options."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_inferbench.engines.registry import _SHIPPED
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator.batching import Batcher, Job
from pytest_inferbench.simulator.hardware import accelerator
from pytest_inferbench.simulator.kv_cache import capacity_blocks
from pytest_inferbench.simulator.profiles import Settings, deployed, engine_names, from_arguments, profile
from pytest_inferbench.simulator.shapes import shape

H100, L4 = accelerator("h100"), accelerator("l4")
LLAMA = shape("llama-3.1-8b")


def test_every_engine_that_suites_can_name_has_a_profile_with_its_source() -> None:
    assert set(engine_names()) == {engine.name for engine in _SHIPPED}
    for name in engine_names():
        found = profile(name)
        assert found.name == name
        assert found.source
        assert found.max_batched_tokens >= found.max_running


@pytest.mark.parametrize("engine", engine_names())
def test_every_engine_answers_a_request_on_a_gpu_that_fits(engine: str) -> None:
    batcher = Batcher(deployed(H100, LLAMA, engine=engine))
    batcher.add(Job(id="a", prompt_tokens=500, output_tokens=20))
    emitted = 0
    while (step := batcher.begin_step()) is not None:
        emitted += len(step.emitted)
    assert emitted == 20


@pytest.mark.parametrize(
    ("engine", "device", "expected"),
    [
        ("vllm", "h100", {"max_batched_tokens": 8192, "max_running": 1024, "memory_share": 0.92}),
        ("vllm", "b200", {"max_batched_tokens": 16384, "max_running": 1024}),
        ("vllm", "a100-80gb", {"max_batched_tokens": 2048, "max_running": 256}),
        ("vllm", "l4", {"max_batched_tokens": 2048, "max_running": 256}),
        ("vllm", "cpu", {"max_batched_tokens": 2048, "max_running": 128}),
        ("command", "h100", {"max_batched_tokens": 8192}),
        ("sglang", "h100", {"max_batched_tokens": 8192, "memory_share": 0.835, "share_of": "static", "mixed_steps": False}),
        ("sglang", "l4", {"max_batched_tokens": 2048, "memory_share": 0.837}),
        ("sglang", "mi300x", {"max_batched_tokens": 16384}),
        ("ollama", "l4", {"cache_tokens": 4096}),
        ("ollama", "h100", {"cache_tokens": 262_144}),
        ("tgi", "h100", {"max_running": 128, "reserves_answers": True}),
        ("trtllm", "h100", {"max_running": 2048, "max_batched_tokens": 8192, "chunked_prefill": False}),
    ],
)
def test_defaults_follow_the_gpu_s_memory_where_the_engine_s_do(engine: str, device: str, expected: dict[str, Any]) -> None:
    found = profile(engine, accelerator(device))
    assert {name: getattr(found, name) for name in expected} == expected


def test_single_fields_are_put_in_by_name() -> None:
    assert profile("vllm", compute_efficiency=0.5).compute_efficiency == 0.5
    with pytest.raises(ConfigError, match=r"^an engine's profile has no 'efficiency'; it has name, max_batched_tokens"):
        profile("vllm", efficiency=0.5)


def test_an_engine_that_is_not_known_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^the engine 'vlm' cannot be simulated; known are vllm, sglang"):
        profile("vlm")


@pytest.mark.parametrize(
    ("engine", "arguments", "expected"),
    [
        ("vllm", {"max-num-batched-tokens": 4096, "max_num_seqs": "64"}, {"max_batched_tokens": 4096, "max_running": 64}),
        ("vllm", {"--max-num-batched-tokens": "8K"}, {"max_batched_tokens": 8192}),
        ("vllm", {"max-num-batched-tokens": 512}, {"max_batched_tokens": 512, "max_running": 512}),
        ("vllm", {"gpu_memory_utilization": "0.5", "block_size": 32}, {"memory_share": 0.5, "block_tokens": 32}),
        ("vllm", {"enable_prefix_caching": False}, {"prefix_caching": False}),
        ("vllm", {"no-enable-prefix-caching": None}, {"prefix_caching": False}),
        ("vllm", {"no-enable-chunked-prefill": True}, {"chunked_prefill": False}),
        ("vllm", {"enable-prefix-caching": True}, {"prefix_caching": True}),
        ("vllm", {"enforce_eager": True}, {"layer_overhead_s": 120e-6}),
        ("vllm", {"enforce_eager": False}, {"layer_overhead_s": 12e-6}),
        ("sglang", {"disable-radix-cache": None, "enable_mixed_chunk": True}, {"prefix_caching": False, "mixed_steps": True}),
        ("sglang", {"mem-fraction-static": 0.7, "max_running_requests": 16}, {"memory_share": 0.7, "max_running": 16}),
        (
            "tgi",
            {"max_batch_prefill_tokens": 2048, "max-concurrent-requests": 32},
            {"max_batched_tokens": 2048, "max_running": 32},
        ),
        ("trtllm", {"max_batch_size": 64, "kv_cache_free_gpu_memory_fraction": 0.8}, {"max_running": 64, "memory_share": 0.8}),
        (
            "lmdeploy",
            {"cache-max-entry-count": 0.5, "enable-prefix-caching": True},
            {"memory_share": 0.5, "prefix_caching": True},
        ),
        ("llamacpp", {"parallel": 8, "ctx": 16384}, {"max_running": 8, "cache_tokens": 16384}),
        ("llamacpp", {"model_length": 4096}, {"max_running": 4, "cache_tokens": 16384}),
        ("ollama", {"num_ctx": 8192, "num_parallel": 4}, {"max_running": 4, "cache_tokens": 32768}),
    ],
)
def test_options_change_what_they_change(engine: str, arguments: dict[str, object], expected: dict[str, Any]) -> None:
    found, _ = from_arguments(engine, list(arguments.items()), H100)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("engine", "arguments", "expected"),
    [
        ("vllm", {"max_model_len": 4096}, Settings(context_tokens=4096)),
        ("vllm", {"model_length": "4k"}, Settings(context_tokens=4000)),
        ("llamacpp", {"ctx": 16384, "threads": 2}, Settings(context_tokens=4096, ignored=("threads",))),
        ("vllm", {"seed": 1}, Settings(ignored=("seed",))),
        (
            "tgi",
            {"quantize": "fp8", "kv_cache_dtype": "fp8_e5m2"},
            Settings(options={"quantization": "fp8", "kv-cache-dtype": "fp8_e5m2"}),
        ),
    ],
)
def test_what_does_not_batch_is_handed_on(engine: str, arguments: dict[str, object], expected: Settings) -> None:
    assert from_arguments(engine, list(arguments.items()))[1] == expected


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_num_seqs", "many", r"^engine\.args\.max_num_seqs: must be a whole number above 0, not 'many'$"),
        ("max-num-seqs", 0, r"^engine\.args\.max-num-seqs: must be a whole number above 0, not 0$"),
        ("gpu_memory_utilization", 1.5, r"^engine\.args\.gpu_memory_utilization: must be a share above 0 and up to 1, not 1\.5$"),
        ("gpu_memory_utilization", "x", r"must be a share above 0 and up to 1, not 'x'$"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(name: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_arguments("vllm", [(name, value)])


def test_a_cache_in_half_the_bytes_holds_twice_the_tokens() -> None:
    arguments = [("max_model_len", 8192)]
    plain = deployed(L4, LLAMA, engine="vllm", arguments=arguments)
    halved = deployed(L4, LLAMA, engine="vllm", arguments=[*arguments, ("kv-cache-dtype", "fp8")])
    assert halved.model.kv_bytes_per_token == plain.model.kv_bytes_per_token / 2
    assert capacity_blocks(halved) == pytest.approx(2 * capacity_blocks(plain), abs=1)
    assert halved.context_tokens == 8192


@pytest.mark.parametrize(("engine", "dtype"), [("ollama", "q4_k_m"), ("llamacpp", "q8_0"), ("vllm", "bf16")])
def test_a_model_without_a_dtype_is_what_the_engine_s_own_files_hold(engine: str, dtype: str) -> None:
    assert deployed(H100, LLAMA, engine=engine).model.weight_dtype == dtype
    assert deployed(H100, replace(LLAMA, weight_dtype="q4_0"), engine=engine).model.weight_dtype == "q4_0"


@pytest.mark.parametrize(
    ("engine", "device", "efficiencies"),
    [
        ("vllm", "h100", (0.34, 0.80, 250e-6, 6e-6)),
        ("vllm", "h100-mig-1g.10gb", (0.34, 0.80, 250e-6, 6e-6)),
        ("vllm", "b200", (0.34, 0.80, 250e-6, 6e-6)),
        ("vllm", "a100-80gb", (0.60, 0.80, 250e-6, 6e-6)),
        ("vllm", "l4", (0.60, 0.80, 250e-6, 6e-6)),
        ("vllm", "mi300x", (0.34, 0.60, 500e-6, 80e-6)),
        ("sglang", "h200", (0.34, 0.80, 250e-6, 6e-6)),
        ("tgi", "mi300x", (0.34, 0.60, 600e-6, 80e-6)),
        ("transformers", "mi300x", (0.34, 0.60, 2e-3, 80e-6)),
        ("trtllm", "h100", (0.58, 0.84, 350e-6, 5.3e-6)),
        ("nim", "b200", (0.58, 0.84, 350e-6, 5.3e-6)),
        ("llamacpp", "h100", (0.35, 0.65, 150e-6, 20e-6)),
    ],
)
def test_large_gpus_come_less_near_to_their_peaks(engine: str, device: str, efficiencies: tuple[float, ...]) -> None:
    found = profile(engine, accelerator(device))
    assert efficiencies == (
        found.compute_efficiency,
        found.bandwidth_efficiency,
        found.step_overhead_s,
        found.sequence_overhead_s,
    )


def test_ranks_are_handed_on() -> None:
    assert deployed(H100, LLAMA, engine="vllm", tensor_parallel=2).tensor_parallel == 2

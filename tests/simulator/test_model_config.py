"""A model's cost from its config.json: the formula's terms, one by one, and what is wrong with a config."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator.deployment import ModelShape
from pytest_inferbench.simulator.model_config import model_shape
from pytest_inferbench.simulator.shapes import shape

BASE = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 12,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 1000,
    "max_position_embeddings": 512,
}
LAYER = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64


def shape_of(**fields: Any) -> ModelShape:
    return model_shape("m", hub="m", fields=BASE | fields, source="config.json")


def test_a_dense_model_is_its_layers_and_two_tables() -> None:
    found = shape_of()
    assert found.parameters == 12 * LAYER + 2 * 64_000 + 64
    assert found.active_parameters == found.parameters - 64_000
    assert (found.experts, found.experts_per_token) == (0, 0)


def test_a_tied_table_is_there_once_and_is_multiplied_by() -> None:
    found = shape_of(tie_word_embeddings=True)
    assert found.parameters == found.active_parameters == 12 * LAYER + 64_000 + 64


def test_gemma_ties_its_tables_unless_its_config_says_otherwise() -> None:
    assert shape_of(model_type="gemma").parameters == shape_of(tie_word_embeddings=True).parameters
    assert shape_of(model_type="gemma", tie_word_embeddings=False).parameters == shape_of().parameters


def test_a_feed_forward_part_without_a_gate_has_two_matrices() -> None:
    assert shape_of().parameters - shape_of(model_type="gpt_neox").parameters == 12 * 64 * 128


def test_opt_has_a_table_of_positions_and_ways_into_narrow_tables_of_words() -> None:
    ungated = shape_of(model_type="gpt_neox").parameters
    positions = (shape_of().context_tokens + 2) * 64
    assert shape_of(model_type="opt").parameters == ungated + positions
    narrow = shape_of(model_type="opt", word_embed_proj_dim=16)
    assert narrow.parameters == ungated + positions - 2 * 1000 * (64 - 16) + 2 * 64 * 16


def test_heads_of_their_own_size_count() -> None:
    found = shape_of(head_dim=32)
    assert found.head_size == 32
    assert found.kv_bytes_per_token == 12 * 2 * 2 * 32 * 2


def test_a_mixture_has_all_its_experts_and_uses_some() -> None:
    found = shape_of(model_type="mixtral", num_local_experts=8, num_experts_per_tok=2)
    expert = 3 * 64 * 128
    assert found.parameters == shape_of().parameters + 12 * (7 * expert + 8 * 64)
    assert found.parameters - found.active_parameters == 12 * 6 * expert + 64_000
    assert (found.experts, found.experts_per_token) == (8, 2)


def test_layers_that_are_no_mixture_are_dense() -> None:
    fields = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    expert, mixture = 3 * 64 * 32, 8 * 64
    one_in_two = shape_of(model_type="qwen2_moe", decoder_sparse_step=2, attention_bias=False, **fields)
    listed = shape_of(model_type="qwen2_moe", mlp_only_layers=[0, 2, 4, 6, 8, 10], **fields)
    assert one_in_two.parameters == listed.parameters
    first = shape_of(num_experts=8, num_experts_per_tok=2, moe_intermediate_size=32, first_k_dense_replace=11)
    assert first.parameters == shape_of().parameters - 3 * 64 * 128 + 8 * expert + mixture


def test_shared_experts_are_always_used() -> None:
    fields = {"n_routed_experts": 4, "num_experts_per_tok": 1, "moe_intermediate_size": 32}
    without, with_one = shape_of(**fields), shape_of(**fields, n_shared_experts=1)
    shared = 12 * 3 * 64 * 32
    assert with_one.parameters - without.parameters == shared
    assert with_one.active_parameters - without.active_parameters == shared


def test_compressed_attention_caches_one_pair_a_layer() -> None:
    # DeepSeek-V3: 61 layers x (512 + 64) values of 2 bytes.
    found = shape("deepseek-v3")
    assert found.kv_bytes_per_token == 61 * 576 * 2
    assert found.kv_heads == 1


@pytest.mark.parametrize(
    ("fields", "windows"),
    [
        ({"model_type": "mistral", "sliding_window": 8}, 12),
        ({"model_type": "mistral", "sliding_window": None}, 0),
        ({"model_type": "gemma2", "sliding_window": 8}, 6),
        ({"model_type": "gpt_oss", "sliding_window": 8}, 6),
        ({"model_type": "gemma3_text", "sliding_window": 8}, 10),
        ({"model_type": "gemma3_text", "sliding_window": 8, "sliding_window_pattern": 4}, 9),
        ({"model_type": "qwen2", "sliding_window": 8, "use_sliding_window": False, "max_window_layers": 4}, 0),
        ({"model_type": "qwen2", "sliding_window": 8, "max_window_layers": 4}, 0),
        ({"model_type": "qwen2", "sliding_window": 8, "use_sliding_window": True, "max_window_layers": 4}, 8),
        ({"sliding_window": 8, "layer_types": ["full_attention"] * 9 + ["sliding_attention"] * 3}, 3),
    ],
)
def test_layers_with_a_window_keep_no_whole_context(fields: dict[str, Any], windows: int) -> None:
    found = shape_of(**fields)
    assert found.window_layers == windows
    assert found.window_tokens == (8 if windows else 0)
    assert found.kv_bytes_per_token == (12 - windows) * 2 * 2 * 16 * 2


def test_of_a_model_that_sees_the_text_part_counts() -> None:
    found = model_shape("m", hub="m", fields={"model_type": "gemma3", "text_config": BASE}, source="config.json")
    assert found.parameters == shape_of().parameters


def test_layers_that_look_at_an_image_keep_no_text() -> None:
    assert shape_of(cross_attention_layers=[1, 3]).kv_bytes_per_token == shape_of().kv_bytes_per_token * 10 / 12


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "fbgemm_fp8"}, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 8}, "int8"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "int4"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "fp4"),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}}},
            "fp8",
        ),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int"}}}},
            "int4",
        ),
    ],
)
def test_a_config_says_how_weights_are_stored(stored: dict[str, Any], dtype: str) -> None:
    assert shape_of(quantization_config=stored).weight_dtype == dtype


def test_a_cache_of_eight_bits_is_half_as_large() -> None:
    found = shape_of(quantization_config={"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "FP8"})
    assert found.kv_dtype == "fp8"
    assert found.kv_bytes_per_token == shape_of().kv_bytes_per_token / 2


def test_a_way_of_storing_that_is_not_known_is_refused() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^config\.json: quantization_config\.quant_method: weights stored by 'aqlm' are not known here; known: fp8, ",
    ):
        shape_of(quantization_config={"quant_method": "aqlm"})


def test_a_missing_field_is_named() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^config\.json: hidden_size: is missing; a decoder's config\.json has hidden_size, num_hidden_layers, ",
    ):
        model_shape("m", hub="m", fields={"num_hidden_layers": 1, "num_attention_heads": 1}, source="config.json")


@pytest.mark.parametrize("value", ["64", 6.4, True, -1])
def test_a_field_that_is_no_number_is_named(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^config\.json: hidden_size: must be a whole number, not "):
        shape_of(hidden_size=value)


@given(
    layers=st.integers(1, 64),
    heads=st.sampled_from([4, 8, 16]),
    width=st.integers(1, 4096),
    experts=st.integers(2, 64),
    used=st.integers(1, 64),
)
def test_no_token_passes_through_more_than_there_is(layers: int, heads: int, width: int, experts: int, used: int) -> None:
    found = shape_of(
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=width,
        num_local_experts=experts,
        num_experts_per_tok=min(used, experts),
    )
    assert 0 < found.active_parameters <= found.parameters
    assert found.kv_bytes_per_token > 0

"""Shapes by name: whatever suites may name has one, however the hub spells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_inferbench.cases import catalogue
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator.shapes import shape, shape_names, stored_as

# Billions as the models' cards, reports or weight files have them; of Gemma 3 the sum of "embedding" and "non-embedding"
# parameters in its technical report (arXiv:2503.19786, table 1), of gpt-oss those of its model card (arXiv:2508.10925, table 1).
PUBLISHED = {
    "llama-2-7b": 6.738,
    "llama-2-13b": 13.016,
    "llama-2-70b": 68.977,
    "llama-3.1-8b": 8.03,
    "llama-3.1-70b": 70.554,
    "llama-3.1-405b": 405.85,
    "llama-3.2-1b": 1.236,
    "llama-3.2-3b": 3.213,
    "llama-3.3-70b": 70.554,
    "mistral-7b": 7.248,
    "openhermes-2.5-mistral-7b": 7.242,
    "mistral-small-24b": 23.572,
    "mixtral-8x7b": 46.703,
    "mixtral-8x22b": 140.63,
    "qwen2.5-0.5b": 0.494,
    "qwen2.5-1.5b": 1.544,
    "qwen2.5-3b": 3.086,
    "qwen2.5-7b": 7.616,
    "qwen2.5-14b": 14.77,
    "qwen2.5-32b": 32.764,
    "qwen2.5-72b": 72.706,
    "qwen3-0.6b": 0.596,
    "qwen3-1.7b": 1.72,
    "qwen3-4b": 4.022,
    "qwen3-8b": 8.191,
    "qwen3-14b": 14.768,
    "qwen3-32b": 32.762,
    "qwen3-30b-a3b": 30.532,
    "qwen3-235b-a22b": 235.094,
    "gemma-2-2b": 2.614,
    "gemma-2-9b": 9.242,
    "gemma-2-27b": 27.227,
    "gemma-3-1b": 1.0,
    "gemma-3-4b": 3.884,
    "gemma-3-12b": 11.771,
    "gemma-3-27b": 27.016,
    "gpt-oss-20b": 20.91,
    "gpt-oss-120b": 116.83,
    "deepseek-v3": 671.0,
    "deepseek-r1": 671.0,
    "smollm2-135m": 0.1345,
    "smollm2-360m": 0.3618,
    "smollm2-1.7b": 1.711,
    "tinyllama-1.1b": 1.1,
    "opt-350m": 0.3312,
}
# Billions that a token passes through; cards count the table of inputs in or leave it out, so these are held to 10 %.
PUBLISHED_ACTIVE = {
    "mixtral-8x7b": 12.9,
    "mixtral-8x22b": 39.0,
    "qwen3-30b-a3b": 3.3,
    "qwen3-235b-a22b": 22.0,
    "gpt-oss-20b": 3.61,
    "gpt-oss-120b": 5.13,
    "deepseek-v3": 37.0,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_computed_parameters_are_the_published_ones_within_a_hundredth(name: str) -> None:
    assert shape(name).parameters / 1e9 == pytest.approx(PUBLISHED[name], rel=0.01)


@pytest.mark.parametrize("name", PUBLISHED_ACTIVE)
def test_computed_active_parameters_of_mixtures_are_near_the_published_ones(name: str) -> None:
    assert shape(name).active_parameters / 1e9 == pytest.approx(PUBLISHED_ACTIVE[name], rel=0.1)


def test_no_count_is_held_against_nothing() -> None:
    # The two that see: what is published counts their eyes, too, and what is simulated is their text part.
    assert {*shape_names()} - {*PUBLISHED} == {"llama-3.2-11b-vision", "llama-3.2-90b-vision"}


@pytest.mark.parametrize("name", catalogue._MODELS)
def test_every_model_of_the_catalogue_has_a_shape_by_its_name_and_by_its_hub_name(name: str) -> None:
    entry = catalogue.model_of(name)
    assert entry is not None
    by_name, by_hub = shape(name), shape(entry.hub.upper())
    assert by_name.parameters == by_hub.parameters
    assert by_name.weight_dtype == by_hub.weight_dtype


@pytest.mark.parametrize("name", shape_names())
def test_every_shape_can_be_named_in_a_suite(name: str) -> None:
    assert catalogue.model_of(name) is not None
    assert shape(name).source == f"config.json of {shape(name).hub} on the Hugging Face hub"


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("NousResearch/Llama-2-7b-chat-hf", "llama-2-7b"),
        ("teknium/OpenHermes-2.5-Mistral-7B", "openhermes-2.5-mistral-7b"),
        ("neuralmagic/OpenHermes-2.5-Mistral-7B-pruned50", "openhermes-2.5-mistral-7b"),
        ("neuralmagic/OpenHermes-2.5-Mistral-7B-marlin", "openhermes-2.5-mistral-7b"),
        ("meta-llama/Meta-Llama-3.1-8B", "llama-3.1-8b"),
        ("mistralai/Mistral-7B-Instruct-v0.2", "mistral-7b"),
        ("mistralai/Mistral-7B-v0.1", "openhermes-2.5-mistral-7b"),
        ("deepseek-ai/DeepSeek-R1-0528", "deepseek-r1"),
        ("Qwen/Qwen2.5-7B", "qwen2.5-7b"),
    ],
)
def test_the_hubs_other_names_of_a_model_are_known(name: str, same: str) -> None:
    found, expected = shape(name), shape(same)
    assert found.hub == name
    assert found.parameters == pytest.approx(expected.parameters, rel=0.001)
    assert found.window_layers == expected.window_layers


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("llama-3.1-8b", "bf16"),
        ("llama-3.1-8b-fp8", "fp8"),
        ("llama-3.3-70b-fp8", "fp8"),
        ("nvidia/Llama-3.1-405B-Instruct-FP8", "fp8"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "int4"),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "int4"),
        ("Qwen/Qwen2.5-72B-Instruct-GPTQ-Int8", "int8"),
        ("nvidia/Llama-3.3-70B-Instruct-FP4", "fp4"),
        ("gpt-oss-20b", "mxfp4"),
        ("deepseek-v3", "fp8"),
    ],
)
def test_a_name_says_how_weights_are_stored(name: str, dtype: str) -> None:
    assert shape(name).weight_dtype == dtype


def test_options_of_an_engine_say_how_weights_and_cache_are_stored() -> None:
    plain = shape("llama-3.1-8b")
    stored = stored_as(plain, {"quantization": "fp8", "kv_cache_dtype": "fp8_e4m3", "max-model-len": 4096})
    assert (stored.weight_dtype, stored.kv_dtype) == ("fp8", "fp8")
    assert stored.kv_bytes_per_token == plain.kv_bytes_per_token / 2
    assert stored_as(plain, {"kv-cache-dtype": "auto"}) == plain
    assert stored_as(plain, {}) == plain


def test_a_checkpoint_in_fewer_bits_stays_as_it_is() -> None:
    assert stored_as(shape("qwen/qwen2.5-7b-instruct-awq"), {"quantization": "awq_marlin"}).weight_dtype == "int4"


def test_an_unknown_way_of_storing_is_answered_with_those_that_are_known() -> None:
    with pytest.raises(
        ConfigError, match=r"^engine\.args\.quantization: 'fp9' cannot be simulated \(did you mean 'fp8'\?\); known: fp8, "
    ):
        stored_as(shape("llama-3.1-8b"), {"quantization": "fp9"})


def test_an_unknown_model_is_answered_with_a_near_one_and_what_to_give() -> None:
    with pytest.raises(ConfigError) as caught:
        shape("llama-3.1-80b")
    assert str(caught.value) == (
        "the shape of the model 'llama-3.1-80b' is not known (did you mean 'llama-3.1-8b'?); "
        "give the folder or path of its config.json"
    )


def test_a_model_that_is_like_none_is_answered_with_all_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        shape("0")
    text = str(caught.value)
    assert text.startswith(
        "the shape of the model '0' is not known; give the folder or path of its config.json, or one of: llama-2-7b, "
    )
    assert text.endswith(", tinyllama-1.1b")


def _write(folder: Path, fields: object) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(fields))
    return file


FIELDS = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "vocab_size": 100,
    "max_position_embeddings": 512,
}


def test_a_config_file_and_its_folder_are_the_same_model(tmp_path: Path) -> None:
    file = _write(tmp_path, FIELDS)
    found = shape(str(tmp_path))
    assert found == shape(str(file))
    assert found.hub == str(file)
    assert found.name == tmp_path.name
    # 2 x (4 x 64^2 + 3 x 64 x 128 + 2 x 64) + 2 x 100 x 64 + 64
    assert found.parameters == 95_040
    assert found.kv_bytes_per_token == 2 * 2 * 64 * 2


def test_a_path_that_leads_nowhere_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"none/config\.json: there is no such file; give the folder or path of its config\.json$"
    ):
        shape(str(tmp_path / "none" / "config.json"))
    with pytest.raises(ConfigError, match=r"has no config\.json; give the folder or path of its config\.json$"):
        shape(str(tmp_path))


def test_a_file_that_is_no_config_says_so(tmp_path: Path) -> None:
    broken = tmp_path / "config.json"
    broken.write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json: is no config\.json that can be read: Expecting property name"):
        shape(str(broken))
    with pytest.raises(ConfigError, match=r"is no config\.json: its top is no JSON object$"):
        shape(str(_write(tmp_path, [])))


def test_a_folder_of_another_machine_is_known_by_its_name() -> None:
    for path in ("/models/Llama-3.1-70B-Instruct", "/models/Llama-3.1-70B-Instruct/"):
        assert shape(path).parameters == shape("llama-3.1-70b").parameters
    with pytest.raises(ConfigError, match=r"^/models/my-own: there is no such file; "):
        shape("/models/my-own")

"""
What a model costs, computed from its ``config.json`` by one formula.

Rule: a function of the config alone; what the config leaves out is what its model type's own code takes for it. With h the width,
V the vocabulary, H and K the heads of queries and of keys, d their size, f the width of the feed-forward part:

* attention: h H d + 2 h K d + H d h, and where heads are compressed (MLA) the products of the low-rank factors;
* feed-forward: 3 h f (two matrices and a gate), times the experts of a mixture, and h for each expert's router;
* beside layers: V h for the table of inputs, and as much for the outputs where they are not tied to it;
* cache of a token in a layer: 2 K d values, or the compressed pair (``kv_lora_rank`` + ``qk_rope_head_dim``) of an MLA layer.

Normalisation and biases are counted too, where the model type has them: less than a thousandth of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator.deployment import ModelShape

KV_BYTES = {"bf16": 2.0, "fp8": 1.0, "int8": 1.0}
"""Bytes of one value of the cache."""

_UNGATED = frozenset({"gpt_neox", "opt", "phi", "starcoder2"})
_TIED = ("gemma",)
_BIASED = ("qwen2", "gpt_oss")
_HEAD_NORMED = ("qwen3", "gemma3")
_FOUR_NORMS = ("gemma2", "gemma3")
_GROUPS = {"float 8": "fp8", "int 8": "int8", "int 4": "int4", "float 4": "fp4"}
_NEEDED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


@dataclass(frozen=True, slots=True)
class Config:
    """The fields of a ``config.json`` that matter, read with errors that name the field; ``place`` is where it stands."""

    fields: Mapping[str, Any]
    place: str

    @property
    def kind(self) -> str:
        """The model type, such as ``llama``."""
        return str(self.fields.get("model_type", ""))

    def is_a(self, kinds: tuple[str, ...]) -> bool:
        """Whether the model type begins like one of these."""
        return self.kind.startswith(kinds)

    def count(self, *names: str, default: int | None = None) -> int:
        """
        The first of these fields that is set, as a whole number.

        Raises:
            ConfigError: none is set and there is no default, or one is no whole number from 0.
        """
        for name in names:
            value = self.fields.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ConfigError(f"must be a whole number, not {value!r}", file=self.place, field=name)
            return value
        if default is None:
            raise ConfigError(
                f"is missing; a decoder's config.json has {', '.join(_NEEDED)} and an intermediate_size",
                file=self.place,
                field=names[0],
            )
        return default


def model_shape(name: str, *, hub: str, fields: Mapping[str, Any], source: str) -> ModelShape:
    """
    The shape of the model that a ``config.json`` describes; of a model that also sees or hears, its text part.

    Raises:
        ConfigError: a field is missing or is no number, or weights are stored in a way that is not known here.
    """
    text = fields.get("text_config")
    weight_dtype, kv_dtype = _dtypes(fields, source)
    config = Config({**fields, **text} if isinstance(text, Mapping) else fields, source)
    layers, heads = config.count("num_hidden_layers"), config.count("num_attention_heads")
    compressed = config.count("kv_lora_rank", default=0)
    kv_heads = 1 if compressed else config.count("num_key_value_heads", default=heads)
    windows = _window_layers(config)
    totals = _Parameters.of(config)
    crossed = len(config.fields.get("cross_attention_layers") or ())
    return ModelShape(
        name=name,
        hub=hub,
        parameters=totals.all,
        active_parameters=totals.active,
        layers=layers,
        hidden=config.count("hidden_size"),
        heads=heads,
        kv_heads=kv_heads,
        head_size=_head_size(config),
        vocabulary=config.count("vocab_size"),
        kv_bytes_per_token=(layers - windows - crossed) * _cached_values(config) * KV_BYTES[kv_dtype],
        context_tokens=config.count("max_position_embeddings", "n_positions", default=4096),
        source=source,
        weight_dtype=weight_dtype,
        kv_dtype=kv_dtype,
        experts=_experts(config),
        experts_per_token=config.count("num_experts_per_tok", "experts_per_token", default=0) if _experts(config) else 0,
        window_layers=windows,
        window_tokens=config.count("sliding_window") if windows else 0,
    )


# --- parameters -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Parameters:
    """
    All parameters, and those that one token's numbers are multiplied by.

    The table of inputs is looked up, not multiplied by: it is active only where it is the table of outputs, too.
    """

    all: int
    active: int

    @classmethod
    def of(cls, config: Config) -> _Parameters:
        hidden, layers = config.count("hidden_size"), config.count("num_hidden_layers")
        table = config.count("vocab_size") * config.count("word_embed_proj_dim", default=hidden)
        tied = bool(config.fields.get("tie_word_embeddings", config.is_a(_TIED)))
        norms = (4 if config.is_a(_FOUR_NORMS) else 2) * hidden
        sparse = _sparse_layers(config)
        common = layers * (_attention(config) + norms) + (layers - sparse) * _feed_forward(config) + table + hidden
        common += _beside_tables(config)
        every, active = _mixture(config) if sparse else (0, 0)
        return cls(all=common + sparse * every + (0 if tied else table), active=common + sparse * active)


def _beside_tables(config: Config) -> int:
    """OPT has a table of positions too, and where its tables of words are narrower than it is, a way in and a way out."""
    if config.kind != "opt":
        return 0
    hidden = config.count("hidden_size")
    narrow = config.count("word_embed_proj_dim", default=hidden)
    # Its positions begin at 2.
    return (config.count("max_position_embeddings") + 2) * hidden + (2 * hidden * narrow if narrow != hidden else 0)


def _head_size(config: Config) -> int:
    """Of queries and keys; under MLA the mean of keys and values, so that a product of two stays right."""
    if config.count("kv_lora_rank", default=0):
        keys = config.count("qk_nope_head_dim") + config.count("qk_rope_head_dim")
        return (keys + config.count("v_head_dim")) // 2
    heads = config.count("num_attention_heads")
    return config.count("head_dim", default=config.count("hidden_size") // max(1, heads))


def _attention(config: Config) -> int:
    if config.count("kv_lora_rank", default=0):
        return _compressed_attention(config)
    hidden, heads, size = config.count("hidden_size"), config.count("num_attention_heads"), _head_size(config)
    queries, keys = heads * size, config.count("num_key_value_heads", default=heads) * size
    parameters = 2 * hidden * queries + 2 * hidden * keys
    if config.fields.get("attention_bias") or config.is_a(_BIASED):
        parameters += queries + 2 * keys
    return parameters + (2 * size if config.is_a(_HEAD_NORMED) else 0)


def _compressed_attention(config: Config) -> int:
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): queries, and keys with values, through low ranks."""
    hidden, heads = config.count("hidden_size"), config.count("num_attention_heads")
    plain, turned, values = (config.count(name) for name in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"))
    rank, query_rank = config.count("kv_lora_rank"), config.count("q_lora_rank", default=0)
    query_width = heads * (plain + turned)
    queries = hidden * query_rank + query_rank + query_rank * query_width if query_rank else hidden * query_width
    keys = hidden * (rank + turned) + rank + rank * heads * (plain + values)
    return queries + keys + heads * values * hidden


def _feed_forward(config: Config) -> int:
    width = config.count("intermediate_size", "ffn_dim", "n_inner")
    return (2 if config.kind in _UNGATED else 3) * config.count("hidden_size") * width


def _experts(config: Config) -> int:
    return config.count("num_local_experts", "num_experts", "n_routed_experts", default=0)


def _sparse_layers(config: Config) -> int:
    """Layers whose feed-forward part is a mixture."""
    if not _experts(config):
        return 0
    layers, step = config.count("num_hidden_layers"), max(1, config.count("decoder_sparse_step", "moe_layer_freq", default=1))
    dense = {*(config.fields.get("mlp_only_layers") or ()), *range(config.count("first_k_dense_replace", default=0))}
    return sum((layer + 1) % step == 0 and layer not in dense for layer in range(layers))


def _mixture(config: Config) -> tuple[int, int]:
    """Parameters of a mixture's layer, and those of them that a token passes through."""
    hidden, experts = config.count("hidden_size"), _experts(config)
    width = config.count("moe_intermediate_size", "intermediate_size")
    expert = 3 * hidden * width
    router = hidden * experts
    if config.is_a(("gpt_oss",)):
        expert += 2 * width + hidden
        router += experts
    shared_width = config.count("shared_expert_intermediate_size", default=config.count("n_shared_experts", default=0) * width)
    common = router + 3 * hidden * shared_width
    used = config.count("num_experts_per_tok", "experts_per_token")
    return common + experts * expert, common + used * expert


# --- cache and dtypes -------------------------------------------------------------------------------------------------------


def _cached_values(config: Config) -> int:
    rank = config.count("kv_lora_rank", default=0)
    if rank:
        return rank + config.count("qk_rope_head_dim")
    return 2 * config.count("num_key_value_heads", "num_attention_heads") * _head_size(config)


def _window_layers(config: Config) -> int:
    """
    Layers that see a window only: those the config lists, else those that the model type's code makes such.

    gemma2 and gpt_oss: every other one; gemma3: all but every sixth (``sliding_window_pattern``); qwen2 and qwen3: those from
    ``max_window_layers`` on where ``use_sliding_window`` is set; others: all, where there is a window.
    """
    layers = config.count("num_hidden_layers")
    if not config.count("sliding_window", default=0) or config.fields.get("use_sliding_window") is False:
        return 0
    listed = config.fields.get("layer_types")
    if isinstance(listed, list):
        return sum(each == "sliding_attention" for each in listed)
    if config.is_a(("gemma2", "gpt_oss")):
        return (layers + 1) // 2
    if config.is_a(("gemma3",)):
        return layers - layers // max(1, config.count("sliding_window_pattern", default=6))
    if config.is_a(("qwen",)):
        used = config.fields.get("use_sliding_window")
        return max(0, layers - config.count("max_window_layers", default=layers)) if used else 0
    return layers


def _dtypes(fields: Mapping[str, Any], place: str) -> tuple[str, str]:
    """How weights are stored, and the cache."""
    stored = fields.get("quantization_config")
    if not isinstance(stored, Mapping):
        return "bf16", "bf16"
    method = str(stored.get("quant_method", "")).replace("-", "_")
    kv_dtype = "fp8" if str(stored.get("kv_cache_quant_algo") or "").upper() == "FP8" else "bf16"
    if method == "compressed_tensors" and stored.get("kv_cache_scheme"):
        kv_dtype = "fp8"
    weight_dtype = _METHODS[method](stored) if method in _METHODS else ""
    if not weight_dtype:
        raise ConfigError(
            f"weights stored by {method or 'no named method'!r} are not known here; known: {', '.join(_METHODS)}",
            file=place,
            field="quantization_config.quant_method",
        )
    return weight_dtype, kv_dtype


def _by_bits(stored: Mapping[str, Any]) -> str:
    return {4: "int4", 8: "int8"}.get(stored.get("bits", stored.get("w_bit", 4)), "")


def _compressed_tensors(stored: Mapping[str, Any]) -> str:
    """Of the first group of weights: 8 bits float or integer, or 4."""
    for group in (stored.get("config_groups") or {}).values():
        weights = group.get("weights") or {}
        return _GROUPS.get(f"{weights.get('type')} {weights.get('num_bits')}", "")
    return ""


def _modelopt(stored: Mapping[str, Any]) -> str:
    return {"FP8": "fp8", "NVFP4": "fp4", "W4A16_AWQ": "int4", "W4A8_AWQ": "int4"}.get(str(stored.get("quant_algo")).upper(), "")


def _bitsandbytes(stored: Mapping[str, Any]) -> str:
    return "int4" if stored.get("load_in_4bit") or stored.get("_load_in_4bit") else "int8"


def _fp8(_stored: Mapping[str, Any]) -> str:
    return "fp8"


def _mxfp4(_stored: Mapping[str, Any]) -> str:
    return "mxfp4"


_METHODS = {
    "fp8": _fp8,
    "fbgemm_fp8": _fp8,
    "mxfp4": _mxfp4,
    "awq": _by_bits,
    "gptq": _by_bits,
    "bitsandbytes": _bitsandbytes,
    "compressed_tensors": _compressed_tensors,
    "modelopt": _modelopt,
}

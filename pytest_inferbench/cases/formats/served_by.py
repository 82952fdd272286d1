"""
Which engine a container image or a command starts, and what that engine calls its model, its ranks and its address.

Rule: these are facts about the engines' own command lines; how they are started here is theirs (`engines`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNKNOWN = "command"
"""The engine that starts any command."""

# The first whose sign stands in the command, or else in the name of the image, small letters.
_SIGNS: tuple[tuple[str, str], ...] = (
    ("sglang", "sglang"),
    ("text-generation-", "tgi"),
    ("llama.cpp", "llamacpp"),
    ("llama-server", "llamacpp"),
    ("lmdeploy", "lmdeploy"),
    ("tensorrt", "trtllm"),
    ("trtllm", "trtllm"),
    ("ollama", "ollama"),
    ("vllm", "vllm"),
    ("sgl", "sglang"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """
    Flags that are the case's own here.

    Attributes:
        model: what names the model, and ``name`` what requests call it.
        ranks: what says over how many GPUs it is spread.
        address: where it listens.
        always: what is always on.
        key_env: the variable that takes the place of ``--api-key``.
    """

    model: tuple[str, ...]
    name: tuple[str, ...]
    ranks: tuple[str, ...]
    address: tuple[str, ...] = ("host", "port")
    always: tuple[str, ...] = ()
    key_env: str | None = None


FLAGS: Mapping[str, Flags] = {
    "vllm": Flags(model=("model",), name=("served-model-name",), ranks=("tensor-parallel-size", "tp"), key_env="VLLM_API_KEY"),
    "sglang": Flags(
        model=("model-path", "model"),
        name=("served-model-name",),
        ranks=("tensor-parallel-size", "tp-size", "tp"),
        always=("enable-metrics",),
    ),
    "tgi": Flags(model=("model-id",), name=(), ranks=("num-shard",), address=("hostname", "port"), key_env="API_KEY"),
}
_OTHERS = Flags(model=("model", "model-path", "model-id"), name=("served-model-name",), ranks=("tensor-parallel-size", "tp"))


def engine_named(image: str, command: tuple[str, ...] = ()) -> str:
    """The engine that an image and the first words of a command speak of; `UNKNOWN` where they speak of none known here."""
    for text in (" ".join(command).lower(), image.lower()):
        for sign, engine in _SIGNS:
            if sign in text:
                return engine if engine in FLAGS else UNKNOWN
    return UNKNOWN


def flags_of(engine: str) -> Flags:
    """The flags of an engine; usual ones where it is unknown."""
    return FLAGS.get(engine, _OTHERS)

from __future__ import annotations

import pytest

from pytest_inferbench.cases.formats.served_by import FLAGS, UNKNOWN, engine_named, flags_of
from pytest_inferbench.engines.registry import names


@pytest.mark.parametrize(
    ("image", "command", "expected"),
    [
        ("vllm/vllm-openai", (), "vllm"),
        ("registry.example/official-sgl", (), "sglang"),
        ("lmsysorg/sglang", (), "sglang"),
        ("ghcr.io/huggingface/text-generation-inference", (), "tgi"),
        ("registry.example/mine", ("python3", "-m", "vllm.entrypoints.openai.api_server"), "vllm"),
        ("registry.example/vllm-and-more", ("python3", "-m", "sglang.launch_server"), "sglang"),
        ("ollama/ollama", (), UNKNOWN),
        ("registry.example/mine", (), UNKNOWN),
    ],
)
def test_an_engine_is_known_by_its_command_or_else_its_image(image: str, command: tuple[str, ...], expected: str) -> None:
    assert engine_named(image, command) == expected


def test_every_engine_that_is_named_is_one_of_ours() -> None:
    assert {*FLAGS, UNKNOWN} <= set(names())
    assert flags_of("vllm").key_env == "VLLM_API_KEY"
    assert "model" in flags_of(UNKNOWN).model

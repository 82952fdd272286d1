from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Case, EngineSpec
from pytest_inferbench.engines.recipe import HOST_IN_CONTAINER
from pytest_inferbench.engines.trtllm import TRTLLM
from pytest_inferbench.errors import ConfigError

Make = Callable[..., Case]
IMAGE = "nvcr.io/nvidia/tensorrt-llm/release:1.0.0"


def test_its_flags_have_underscores_and_early_versions_are_told_no_revision(make_case: Make, cached: Callable[..., Path]) -> None:
    cached("o/m", {}, commit="abc")
    engine = EngineSpec(name="trtllm", image=IMAGE, args=(("model_length", 4096), ("max-batch-size", 8)))
    spec = TRTLLM.server(make_case("trtllm", model="o/m", hardware="h100", tensor_parallel=2, engine=engine))
    assert spec.argv == (
        *("trtllm-serve", "o/m", "--host", HOST_IN_CONTAINER, "--port", "{port}", "--tp_size", "2"),
        *("--max_seq_len", "4096", "--max_batch_size", "8"),
    )
    assert (spec.image, spec.metrics_path, spec.version_path, spec.ready_timeout_s) == (
        IMAGE,
        "/prometheus/metrics",
        "/version",
        1800.0,
    )


def test_a_revision_that_is_asked_for_is_said(make_case: Make, hub_cache: Path) -> None:
    spec = TRTLLM.server(make_case("trtllm", model="o/m", engine=EngineSpec(name="trtllm", image=IMAGE, revision="v1")))
    assert spec.argv[-2:] == ("--revision", "v1")


def test_its_image_must_be_named(make_case: Make, hub_cache: Path) -> None:
    with pytest.raises(ConfigError) as error:
        TRTLLM.server(make_case("trtllm", model="o/m", engine=EngineSpec(name="trtllm", launcher="docker")))
    assert str(error.value) == "engine.image: TensorRT-LLM has no image of its own here; name one"

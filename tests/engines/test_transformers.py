from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Case, EngineSpec
from pytest_inferbench.engines.recipe import HOST_IN_CONTAINER
from pytest_inferbench.engines.transformers import TRANSFORMERS
from pytest_inferbench.errors import ConfigError

Make = Callable[..., Case]


def container(**fields: str) -> EngineSpec:
    return EngineSpec(name="transformers", image="mine:1", args=tuple(fields.items()))


def test_requests_name_the_model_as_it_was_loaded_with_its_revision(make_case: Make, cached: Callable[..., Path]) -> None:
    cached("Qwen/Qwen3-8B", {"tokenizer.json": b"{}"}, commit="abc")
    spec = TRANSFORMERS.server(make_case("transformers", model="qwen3-8b", engine=container(device="cpu")))
    assert spec.argv == (
        *("transformers", "serve", "Qwen/Qwen3-8B@abc", "--host", HOST_IN_CONTAINER, "--port", "{port}", "--device", "cpu"),
    )
    assert (spec.model.served_name, spec.model.tokenizer.kind) == ("Qwen/Qwen3-8B@abc", "json")
    assert (spec.metrics_path, spec.version_path, spec.cache_reset) == (None, None, None)


def test_a_folder_is_named_by_its_path(make_case: Make, tmp_path: Path) -> None:
    spec = TRANSFORMERS.server(make_case("transformers", model=str(tmp_path), engine=container()))
    assert spec.model.served_name == spec.argv[2] == f"/models/{tmp_path.name}"


def test_the_length_of_a_request_is_the_models(make_case: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"engine\.args\.model_length: cannot be given here: transformers serve has no such"):
        TRANSFORMERS.server(make_case("transformers", model=str(tmp_path), engine=container(model_length="4096")))

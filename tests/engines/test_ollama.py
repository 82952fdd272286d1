from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_inferbench.cases.case import Case, Container, EngineSpec, Volume
from pytest_inferbench.engines.ollama import OLLAMA
from pytest_inferbench.engines.recipe import HOST_IN_CONTAINER
from pytest_inferbench.errors import ConfigError

Make = Callable[..., Case]


def test_its_settings_are_its_environment(make_case: Make) -> None:
    volume = Volume(source="~/.ollama", target="/root/.ollama", mode="rw")
    engine = EngineSpec(name="ollama", launcher="docker", args=(("model_length", 4096), ("parallel", 4)))
    engine = replace(engine, container=Container(volumes=(volume,)))
    spec = OLLAMA.server(make_case("ollama", model="llama3.2:1b", engine=engine))
    assert (spec.argv, spec.image) == (("serve",), "ollama/ollama:latest")
    assert dict(spec.env) == {
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_HOST": f"{HOST_IN_CONTAINER}:{{port}}",
        "OLLAMA_CONTEXT_LENGTH": "4096",
        "OLLAMA_NUM_PARALLEL": "4",
    }
    assert (spec.model.served_name, spec.model.tokenizer.kind) == ("llama3.2:1b", "none")
    assert (spec.ready_path, spec.version_path, spec.metrics_path) == ("/api/version", "/api/version", None)
    assert (spec.container.volumes, spec.container.shm_size_bytes) == ((volume,), None)


def test_it_has_no_flags(make_case: Make) -> None:
    with pytest.raises(ConfigError, match=r"engine\.args\.flash: the engine 'ollama' has no such argument"):
        OLLAMA.server(make_case("ollama", model="m", engine=EngineSpec(name="ollama", image="i", args=(("flash", 1),))))


def test_a_model_length_is_a_count(make_case: Make) -> None:
    with pytest.raises(ConfigError, match=r"engine\.args\.model_length: must be a whole number above 0, not '4k'"):
        OLLAMA.server(make_case("ollama", model="m", engine=EngineSpec(name="ollama", image="i", args=(("model_length", "4k"),))))

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Case, EngineSpec, Volume
from pytest_inferbench.engines.nim import NIM
from pytest_inferbench.errors import EngineError

Make = Callable[..., Case]
IMAGE = "nvcr.io/nim/meta/llama-3.1-8b-instruct:2.0.4"


def test_its_settings_are_its_environment_and_its_command_the_images_own(make_case: Make, hub_cache: Path) -> None:
    engine = EngineSpec(name="nim", image=IMAGE, args=(("model_length", 8192),), env=(("NGC_API_KEY", "${NGC_API_KEY}"),))
    spec = NIM.server(make_case("nim", model="llama-3.1-8b", hardware="h100", tensor_parallel=2, engine=engine))
    assert (spec.argv, spec.entrypoint, spec.image) == ((), None, IMAGE)
    assert dict(spec.env) == {
        "NIM_SERVER_PORT": "{port}",
        "NIM_SERVED_MODEL_NAME": "llama-3.1-8b",
        "NIM_TENSOR_PARALLEL_SIZE": "2",
        "NIM_MAX_MODEL_LEN": "8192",
        "NGC_API_KEY": "${NGC_API_KEY}",
    }
    assert (spec.ready_path, spec.metrics_path, spec.metric_names) == ("/v1/health/ready", "/v1/metrics", "nim")
    assert spec.container.volumes == ()


def test_flags_are_those_of_nim_serve(make_case: Make) -> None:
    engine = EngineSpec(name="nim", image=IMAGE, args=(("enable_prefix_caching", False),), extra_args=("--seed", "1"))
    spec = NIM.server(make_case("nim", model="any name", engine=engine))
    assert spec.argv == ("nim-serve", "--no-enable-prefix-caching", "--seed", "1")
    assert spec.model.served_name == "any name"


def test_a_folder_of_weights_is_mounted_and_named(make_case: Make, tmp_path: Path) -> None:
    spec = NIM.server(make_case("nim", model=str(tmp_path), engine=EngineSpec(name="nim", image=IMAGE)))
    assert dict(spec.env)["NIM_MODEL_PATH"] == f"/models/{tmp_path.name}"
    assert spec.container.volumes == (Volume(source=str(tmp_path.resolve()), target=f"/models/{tmp_path.name}", mode="ro"),)


def test_it_runs_in_containers_only(make_case: Make) -> None:
    with pytest.raises(EngineError) as error:
        NIM.server(make_case("nim", model="m"))
    assert str(error.value) == "NIM runs in containers only: name its image, or write launcher: docker"

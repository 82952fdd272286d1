from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pytest_inferbench.cases.case import Case, EngineSpec, Volume
from pytest_inferbench.engines.lmdeploy import LMDEPLOY
from pytest_inferbench.engines.recipe import HOST_IN_CONTAINER

Make = Callable[..., Case]


def test_the_server_is_its_api_server(make_case: Make, hub_cache: Path) -> None:
    engine = EngineSpec(name="lmdeploy", launcher="docker", args=(("model_length", 4096), ("cache-max-entry-count", 0.8)))
    spec = LMDEPLOY.server(make_case("lmdeploy", model="o/m", hardware="h100", tensor_parallel=2, engine=engine))
    assert spec.argv == (
        *("lmdeploy", "serve", "api_server", "o/m", "--server-name", HOST_IN_CONTAINER, "--server-port", "{port}"),
        *("--model-name", "o/m", "--tp", "2", "--session-len", "4096", "--cache-max-entry-count", "0.8"),
    )
    assert (spec.image, spec.extra_body) == ("openmmlab/lmdeploy:latest", {"ignore_eos": True})
    assert Volume(source=str(hub_cache), target="/root/.cache/huggingface/hub", mode="rw") in spec.container.volumes

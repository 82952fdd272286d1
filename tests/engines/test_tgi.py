from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pytest_inferbench.cases.case import Case, EngineSpec, Volume
from pytest_inferbench.engines.recipe import HOST_IN_CONTAINER
from pytest_inferbench.engines.tgi import TGI

Make = Callable[..., Case]


def test_its_image_starts_the_launcher(make_case: Make, hub_cache: Path) -> None:
    engine = EngineSpec(
        name="tgi", launcher="docker", revision="v1", args=(("model_length", 4096),), env=(("API_KEY", "${MY_KEY}"),)
    )
    spec = TGI.server(make_case("tgi", model="o/m", hardware="h100", tensor_parallel=4, engine=engine))
    assert spec.argv == (
        *("--model-id", "o/m", "--hostname", HOST_IN_CONTAINER, "--port", "{port}", "--num-shard", "4"),
        *("--revision", "v1", "--max-total-tokens", "4096"),
    )
    assert spec.container.volumes == (Volume(source=str(hub_cache), target="/data/hub", mode="rw"),)
    assert (spec.metric_names, spec.version_path, spec.api_key_env) == ("tgi", "/info", "MY_KEY")
    assert (spec.cache_reset, spec.extra_body) == (None, {})

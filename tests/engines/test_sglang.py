from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import util
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Case, EngineSpec
from pytest_inferbench.engines.engine import HttpStep
from pytest_inferbench.engines.recipe import HOST_IN_CONTAINER
from pytest_inferbench.engines.sglang import SGLANG
from pytest_inferbench.errors import EngineError

Make = Callable[..., Case]


def test_in_a_container_the_module_is_run_by_the_images_python(make_case: Make, cached: Callable[..., Path]) -> None:
    cached("Qwen/Qwen3-8B", {"tokenizer.json": b"{}"}, commit="abc")
    args = (("model_length", 4096), ("dtype", "bfloat16"), ("disable_radix_cache", True), ("trust_remote_code", False))
    engine = EngineSpec(name="sglang", launcher="docker", args=args)
    spec = SGLANG.server(make_case("sglang", model="qwen3-8b", hardware="h100", tensor_parallel=2, engine=engine))
    assert spec.argv == (
        *("python3", "-m", "sglang.launch_server", "--model-path", "Qwen/Qwen3-8B", "--host", HOST_IN_CONTAINER),
        *("--port", "{port}", "--served-model-name", "qwen3-8b", "--tensor-parallel-size", "2", "--revision", "abc"),
        *("--enable-metrics", "--context-length", "4096", "--dtype", "bfloat16", "--disable-radix-cache"),
    )
    assert (spec.image, spec.metric_names, spec.version_path) == ("lmsysorg/sglang:latest", "sglang", "/get_server_info")
    assert spec.cache_reset == HttpStep(method="POST", path="/flush_cache")
    assert spec.extra_body == {"ignore_eos": True}


def test_a_process_is_run_by_this_python(make_case: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(util, "find_spec", lambda _: object())
    spec = SGLANG.server(make_case("sglang", model=str(tmp_path)))
    assert spec.argv[:3] == (sys.executable, "-m", "sglang.launch_server")
    monkeypatch.setattr(util, "find_spec", lambda _: None)
    with pytest.raises(EngineError) as error:
        SGLANG.server(make_case("sglang", model=str(tmp_path)))
    assert str(error.value) == "SGLang is not installed beside this Python; install it: pip install sglang"

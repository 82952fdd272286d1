"""SGLang: ``python3 -m sglang.launch_server``."""

from __future__ import annotations

import sys
from importlib import util

from pytest_inferbench.engines import recipe
from pytest_inferbench.engines.arguments import Spelling
from pytest_inferbench.engines.engine import HttpStep
from pytest_inferbench.engines.recipe import Recipe, Serving
from pytest_inferbench.errors import EngineError

_MODULE = ("-m", "sglang.launch_server")


def _program() -> tuple[str, ...]:
    # Looked for, never imported: it would bring CUDA up in this process.
    if util.find_spec("sglang") is None:
        raise EngineError("SGLang is not installed beside this Python; install it: pip install sglang")
    return (sys.executable, *_MODULE)


def _words(serving: Serving) -> tuple[str, ...]:
    model = serving.model
    return (
        *("--model-path", model.load_from, "--host", serving.host, "--port", "{port}", "--served-model-name", model.served_name),
        *("--tensor-parallel-size", str(serving.tensor_parallel), *serving.pinned("--revision"), "--enable-metrics"),
    )


SGLANG = Recipe(
    name="sglang",
    title="SGLang",
    program=("python3", *_MODULE),
    words=_words,
    reserved={
        "port": recipe.PORT,
        "host": recipe.HOST,
        "model": recipe.MODEL,
        "model-path": recipe.MODEL,
        "served-model-name": recipe.MODEL,
        "tensor-parallel-size": recipe.TENSOR_PARALLEL,
        "tp-size": recipe.TENSOR_PARALLEL,
        "tp": recipe.TENSOR_PARALLEL,
        "revision": recipe.REVISION,
        "enable-metrics": "it is always on",
        "api-key": "a command line is readable by everybody, and SGLang takes its key from nowhere else",
    },
    # Its flags are switched on, and off by being left out.
    spelling=Spelling(negates=False, names={"model_length": "context-length"}),
    install="pip install sglang",
    image="lmsysorg/sglang:latest",
    image_runs_program=False,
    metric_names="sglang",
    version_path="/get_server_info",
    cache_reset=HttpStep(method="POST", path="/flush_cache"),
    extra_body={"ignore_eos": True},
    find_program=_program,
)

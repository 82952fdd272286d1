"""Text Generation Inference: ``text-generation-launcher``."""

from __future__ import annotations

from pytest_inferbench.engines import recipe
from pytest_inferbench.engines.arguments import Spelling
from pytest_inferbench.engines.recipe import Recipe, Serving


def _words(serving: Serving) -> tuple[str, ...]:
    return (
        *("--model-id", serving.model.load_from, "--hostname", serving.host, "--port", "{port}"),
        *("--num-shard", str(serving.tensor_parallel), *serving.pinned("--revision")),
    )


TGI = Recipe(
    name="tgi",
    title="Text Generation Inference",
    program=("text-generation-launcher",),
    words=_words,
    reserved={
        "port": recipe.PORT,
        "hostname": recipe.HOST,
        "model-id": recipe.MODEL,
        "num-shard": recipe.TENSOR_PARALLEL,
        "sharded": recipe.TENSOR_PARALLEL,
        "revision": recipe.REVISION,
        "api-key": "a command line is readable by everybody; use env: {API_KEY: ${NAME}}",
    },
    spelling=Spelling(negates=False, names={"model_length": "max-total-tokens"}),
    install="build it from source (https://github.com/huggingface/text-generation-inference), or run it in its container",
    image="ghcr.io/huggingface/text-generation-inference:latest",
    cache_folder="/data",
    metric_names="tgi",
    version_path="/info",
    key_env="API_KEY",
)

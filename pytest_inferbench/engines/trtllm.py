"""TensorRT-LLM: ``trtllm-serve``."""

from __future__ import annotations

from pytest_inferbench.engines import recipe
from pytest_inferbench.engines.arguments import Spelling
from pytest_inferbench.engines.recipe import Recipe, Serving


def _words(serving: Serving) -> tuple[str, ...]:
    return (
        *(serving.model.load_from, "--host", serving.host, "--port", "{port}"),
        *("--tp_size", str(serving.tensor_parallel), *serving.pinned("--revision")),
    )


TRTLLM = Recipe(
    name="trtllm",
    title="TensorRT-LLM",
    program=("trtllm-serve",),
    words=_words,
    reserved={
        "port": recipe.PORT,
        "host": recipe.HOST,
        "tp-size": recipe.TENSOR_PARALLEL,
        "revision": recipe.REVISION,
        "dtype": "trtllm-serve has no such flag: it follows from the model's weights",
    },
    spelling=Spelling(joint="_", negates=False, names={"model_length": "max_seq_len"}),
    install="pip install tensorrt-llm (with CUDA and MPI), or run it in its container",
    # Its images have no tag that moves.
    image=None,
    image_runs_program=False,
    # It may build kernels for this GPU first.
    ready_timeout_s=1800.0,
    # Its /metrics are JSON, each read once: statistics of iterations rather than a state. These are there where its options ask
    # for them (return_perf_metrics); else it answers 404, and the record says so.
    metrics_path="/prometheus/metrics",
    version_path="/version",
    extra_body={"ignore_eos": True},
    # Early versions have no --revision, so it is said only where somebody asks for one.
    pins_unasked=False,
)

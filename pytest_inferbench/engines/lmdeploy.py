"""LMDeploy: ``lmdeploy serve api_server``."""

from __future__ import annotations

from pytest_inferbench.engines import recipe
from pytest_inferbench.engines.arguments import Spelling
from pytest_inferbench.engines.recipe import Recipe, Serving


def _words(serving: Serving) -> tuple[str, ...]:
    model = serving.model
    return (
        *(model.load_from, "--server-name", serving.host, "--server-port", "{port}", "--model-name", model.served_name),
        *("--tp", str(serving.tensor_parallel), *serving.pinned("--revision")),
    )


LMDEPLOY = Recipe(
    name="lmdeploy",
    title="LMDeploy",
    program=("lmdeploy", "serve", "api_server"),
    words=_words,
    reserved={
        "server-port": recipe.PORT,
        "server-name": recipe.HOST,
        "model-name": recipe.MODEL,
        "tp": recipe.TENSOR_PARALLEL,
        "revision": recipe.REVISION,
        "api-keys": "a command line is readable by everybody, and LMDeploy takes its keys from nowhere else",
    },
    spelling=Spelling(negates=False, names={"model_length": "session-len"}),
    install="pip install lmdeploy",
    image="openmmlab/lmdeploy:latest",
    image_runs_program=False,
    metric_names="lmdeploy",
    extra_body={"ignore_eos": True},
)

"""NVIDIA NIM: a container for each model, whose settings are environment variables."""

from __future__ import annotations

from pytest_inferbench.cases.case import Case
from pytest_inferbench.engines import models, recipe
from pytest_inferbench.engines.arguments import Spelling, count_argument
from pytest_inferbench.engines.engine import ModelFiles, TokenizerRef
from pytest_inferbench.engines.mounts import Mounted, mounted_hub_or_folder
from pytest_inferbench.engines.recipe import Pairs, Recipe, Serving
from pytest_inferbench.errors import EngineError

_SERVE = "nim-serve"


def _model(case: Case) -> Mounted:
    """The image holds or gets the model itself; a folder is mounted, and a name is only what requests carry."""
    if models.is_path(case.model) or case.model.startswith("/"):
        return mounted_hub_or_folder(case.model, case.engine, cache_folder=recipe.HUGGING_FACE)
    try:
        tokenizer = models.hub_files(case.model).tokenizer
    except EngineError:
        tokenizer = TokenizerRef(kind="none")
    return Mounted(model=ModelFiles(load_from=case.model, served_name=case.model, tokenizer=tokenizer))


def _words(serving: Serving) -> tuple[str, ...]:
    # Without flags the image's own command does, which is another one in older images.
    silent = {"model_length", "ready_timeout_s"}
    flagged = serving.engine.extra_args or any(name not in silent for name, _ in serving.engine.args)
    return (_SERVE,) if flagged and serving.engine.container.start_mode != "flags" else ()


def _variables(serving: Serving) -> Pairs:
    model = serving.model
    pairs = [
        ("NIM_SERVER_PORT", "{port}"),
        ("NIM_SERVED_MODEL_NAME", model.served_name),
        ("NIM_TENSOR_PARALLEL_SIZE", str(serving.tensor_parallel)),
    ]
    if model.load_from.startswith("/"):
        pairs.append(("NIM_MODEL_PATH", model.load_from))
    if "model_length" in dict(serving.engine.args):
        pairs.append(("NIM_MAX_MODEL_LEN", str(count_argument(serving.engine, "model_length", default=1))))
    return tuple(pairs)


NIM = Recipe(
    name="nim",
    title="NIM",
    program=(),
    words=_words,
    variables=_variables,
    reserved={
        "port": recipe.PORT,
        "host": recipe.HOST,
        "model": recipe.MODEL,
        "served-model-name": recipe.MODEL,
        "tensor-parallel-size": recipe.TENSOR_PARALLEL,
    },
    spelling=Spelling(silent=("model_length",)),
    ready_path="/v1/health/ready",
    ready_timeout_s=recipe.DOWNLOAD_TIMEOUT_S,
    metrics_path="/v1/metrics",
    # From version 2 on there is a vLLM inside, whose names its metrics may have.
    metric_names="nim",
    extra_body={"ignore_eos": True},
    pins=False,
    find_model=_model,
)

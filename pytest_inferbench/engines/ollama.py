"""Ollama: ``ollama serve``, whose settings are environment variables and whose models are those that were pulled before."""

from __future__ import annotations

from pytest_inferbench.cases.case import Case
from pytest_inferbench.engines import recipe
from pytest_inferbench.engines.arguments import Spelling, count_argument, reject_unknown
from pytest_inferbench.engines.engine import ModelFiles, TokenizerRef
from pytest_inferbench.engines.mounts import Mounted
from pytest_inferbench.engines.recipe import Pairs, Recipe, Serving

_OWN = ("model_length", "parallel", "ready_timeout_s")


def _model(case: Case) -> Mounted:
    """The model by Ollama's own name, such as ``llama3.2:1b``; whether it was pulled is seen when it is asked for a token."""
    reject_unknown(case.engine, _OWN)
    return Mounted(model=ModelFiles(load_from=case.model, served_name=case.model, tokenizer=TokenizerRef(kind="none")))


def _variables(serving: Serving) -> Pairs:
    given = dict(serving.engine.args)
    pairs = [("OLLAMA_HOST", f"{serving.host}:{{port}}")]
    if "model_length" in given:
        pairs.append(("OLLAMA_CONTEXT_LENGTH", str(count_argument(serving.engine, "model_length", default=1))))
    if "parallel" in given:
        pairs.append(("OLLAMA_NUM_PARALLEL", str(count_argument(serving.engine, "parallel", default=1))))
    return tuple(pairs)


OLLAMA = Recipe(
    name="ollama",
    title="Ollama",
    program=("ollama",),
    words=lambda _: ("serve",),
    variables=_variables,
    # A model that was put away between two requests would be loaded again within one.
    env=(("OLLAMA_KEEP_ALIVE", "-1"),),
    reserved={"host": recipe.HOST, "port": recipe.PORT},
    spelling=Spelling(silent=_OWN),
    install="see https://ollama.com/download",
    image="ollama/ollama:latest",
    shm_bytes=None,
    ready_path="/api/version",
    metrics_path=None,
    version_path="/api/version",
    pins=False,
    spreads=False,
    find_model=_model,
)

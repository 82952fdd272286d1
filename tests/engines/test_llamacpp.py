import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Case
from pytest_inferbench.engines import llamacpp
from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.engines.llamacpp import LlamaCppEngine
from pytest_inferbench.errors import ConfigError, EngineError

Make = Callable[..., Case]


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "9.9")
    monkeypatch.setattr(llamacpp, "cores", lambda: 3)


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF")
    return path


def test_the_server_is_llamacpp_with_the_models_file(make_case: Make, gguf: Path) -> None:
    case = make_case("llamacpp", model=str(gguf))
    spec = LlamaCppEngine().server(case)
    program = (sys.executable, "-m", "pytest_inferbench.launch.llamacpp_server")
    assert spec.argv == (
        *program,
        *("--port", "{port}", "--model", str(gguf), "--alias", "tiny", "--parallel", "4", "--ctx", "8192", "--threads", "3"),
    )
    assert spec.key == case.server_key
    assert spec.model.served_name == "tiny"
    assert spec.model.tokenizer == TokenizerRef(kind="gguf", path=gguf)
    assert spec.extra_body == {"cache_prompt": False, "ignore_eos": True}
    assert spec.cache_body == {"cache_prompt": True}
    assert spec.version == "xllamacpp 9.9"


def test_its_options_are_given_by_name_and_the_rest_as_parameters_of_llamacpp(make_case: Make, gguf: Path) -> None:
    args = {"parallel": 2, "ctx": 4096, "threads": 1, "alias": "a", "n_batch": 64, "warmup": False, "swa_full": None}
    argv = LlamaCppEngine().server(make_case("llamacpp", model=str(gguf), args=args)).argv
    assert argv[argv.index("--alias") :] == (
        *("--alias", "a", "--parallel", "2", "--ctx", "4096", "--threads", "1"),
        *("--set", "n_batch=64", "--set", "warmup=false", "--set", "swa_full=true"),
    )


def test_a_key_is_given_by_reference(make_case: Make, gguf: Path) -> None:
    spec = LlamaCppEngine().server(make_case("llamacpp", model=str(gguf), env={"LLAMA_API_KEY": "${MY_KEY}"}))
    assert spec.api_key_env == "MY_KEY"
    assert spec.env == (("LLAMA_API_KEY", "${MY_KEY}"),)


@pytest.mark.parametrize("name", ["port", "n_parallel", "n_ctx", "model", "api_keys"])
def test_what_is_decided_elsewhere_cannot_be_given(make_case: Make, gguf: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"engine\.args\.{name}: cannot be given here: "):
        LlamaCppEngine().server(make_case("llamacpp", model=str(gguf), args={name: 1}))


def test_tensor_parallel_is_refused_rather_than_ignored(make_case: Make, gguf: Path) -> None:
    with pytest.raises(ConfigError) as error:
        LlamaCppEngine().server(make_case("llamacpp", model=str(gguf), tensor_parallel=2))
    assert str(error.value) == "tensor_parallel: llamacpp serves with tensor_parallel 1, not 2"


def test_a_missing_llamacpp_says_what_to_install(make_case: Make, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(EngineError) as error:
        LlamaCppEngine().server(make_case("llamacpp", model=str(gguf)))
    assert str(error.value) == (
        "llama.cpp is not installed: the Python package xllamacpp is missing; "
        "install it: pip install 'pytest-inferbench[llamacpp]'"
    )

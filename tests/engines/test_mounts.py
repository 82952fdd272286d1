from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Container, EngineSpec, Volume
from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.engines.mounts import cache_volume, mounted_gguf, mounted_hub_or_folder
from pytest_inferbench.errors import EngineError

CACHE = "/cache"


def engine(*volumes: Volume, revision: str | None = None) -> EngineSpec:
    return EngineSpec(name="e", launcher="docker", container=Container(volumes=volumes), revision=revision)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "all" / "tiny-llama"
    path.mkdir(parents=True)
    (path / "tokenizer.json").write_text("{}")
    return path


def test_a_folder_of_this_machine_is_mounted_read_only(folder: Path) -> None:
    found = mounted_hub_or_folder(str(folder), engine(), cache_folder=CACHE)
    assert found.volumes == (Volume(source=str(folder), target="/models/tiny-llama", mode="ro"),)
    assert (found.model.load_from, found.model.served_name) == ("/models/tiny-llama", "tiny-llama")
    assert found.model.tokenizer == TokenizerRef(kind="json", path=folder / "tokenizer.json")


def test_a_folder_that_a_volume_has_is_found_in_it(folder: Path) -> None:
    volume = Volume(source=str(folder.parent), target="/data")
    found = mounted_hub_or_folder(str(folder), engine(volume), cache_folder=CACHE)
    assert (found.model.load_from, found.volumes) == ("/data/tiny-llama", ())


def test_a_path_of_the_container_is_taken_as_it_is(folder: Path) -> None:
    volume = Volume(source=str(folder.parent), target="/data")
    found = mounted_hub_or_folder("/data/tiny-llama", engine(volume), cache_folder=CACHE)
    assert (found.model.load_from, found.model.served_name, found.volumes) == ("/data/tiny-llama", "tiny-llama", ())
    assert found.model.tokenizer == TokenizerRef(kind="json", path=folder / "tokenizer.json")
    gguf = mounted_gguf("/data/x/m.gguf", engine(volume), cache_folder=CACHE).model
    assert (gguf.load_from, gguf.served_name, gguf.tokenizer) == ("/data/x/m.gguf", "m", TokenizerRef(kind="none"))


def test_a_path_that_nobody_knows_is_an_error() -> None:
    for find in (mounted_hub_or_folder, mounted_gguf):
        with pytest.raises(EngineError) as error:
            find("/no/such", engine(Volume(source="/a", target="/b")), cache_folder=CACHE)
        assert str(error.value) == "there is no model at /no/such, neither on this machine nor in a volume of the container"


def test_a_hub_model_need_not_be_here(hub_cache: Path) -> None:
    found = mounted_hub_or_folder("llama-3.1-8b", engine(), cache_folder=CACHE)
    assert (found.model.load_from, found.model.served_name) == ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b")
    assert (found.model.tokenizer.kind, found.model.revision) == ("none", None)
    assert found.volumes == (Volume(source=str(hub_cache), target="/cache/hub", mode="rw"),)
    assert mounted_hub_or_folder("o/m", engine(revision="v1"), cache_folder=CACHE).model.revision == "v1"


def test_a_hub_model_in_the_cache_is_pinned_and_its_tokenizer_known(cached: Callable[..., Path]) -> None:
    snapshot = cached("o/m", {"tokenizer.json": b"{}"}, commit="abc")
    model = mounted_hub_or_folder("o/m", engine(), cache_folder=CACHE).model
    assert (model.revision, model.tokenizer) == ("abc", TokenizerRef(kind="json", path=snapshot / "tokenizer.json"))


def test_the_cache_is_mounted_where_there_is_one_and_the_suite_mounts_none(hub_cache: Path) -> None:
    assert cache_volume(engine(Volume(source="/a", target="/cache")), CACHE) == ()
    assert cache_volume(engine(Volume(source="/a", target="/other")), CACHE) != ()
    hub_cache.rmdir()
    assert cache_volume(engine(), CACHE) == ()


def test_the_folder_of_a_gguf_file_is_mounted_links_followed(tmp_path: Path) -> None:
    real = tmp_path / "real" / "m-Q4.gguf"
    real.parent.mkdir()
    real.write_bytes(b"GGUF")
    link = tmp_path / "link.gguf"
    link.symlink_to(real)
    found = mounted_gguf(str(link), engine(), cache_folder=CACHE)
    assert (found.model.load_from, found.model.served_name) == ("/models/real/m-Q4.gguf", "link")
    assert found.volumes == (Volume(source=str(real.parent), target="/models/real", mode="ro"),)

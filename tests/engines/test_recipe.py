"""What every recipe does alike; what differs is in the test of each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Case, Container, EngineSpec, HostShare, Volume
from pytest_inferbench.engines import registry
from pytest_inferbench.engines.recipe import HOST_IN_CONTAINER, SHM_BYTES, Recipe, Serving, command, over
from pytest_inferbench.errors import ConfigError, EngineError

Make = Callable[..., Case]
SHIPPED = [engine for name in registry.names() if isinstance(engine := registry.engine(name), Recipe)]


def words(serving: Serving) -> tuple[str, ...]:
    return (serving.model.load_from, serving.host, "{port}", *serving.pinned("--rev"))


TINY = Recipe(name="tiny", title="Tiny", program=("tiny", "serve"), words=words, install="get it", image="tiny:1")


@pytest.fixture(autouse=True)
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a Python that has every program."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for recipe in (TINY, *SHIPPED):
        if recipe.program:
            (folder / recipe.program[0]).touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    return folder


def spec_of(name: str, **fields: object) -> EngineSpec:
    return EngineSpec(**{"name": name, **fields})  # type: ignore[arg-type]  # fields of many types


def test_a_process_gets_its_program_words_flags_and_the_words_as_they_stand(make_case: Make, cached: Callable[..., Path]) -> None:
    cached("o/m", {}, commit="abc")
    engine = spec_of("tiny", args=(("a_b", 1), ("ready_timeout_s", 5)), extra_args=("-x",), share=HostShare(cpus="0-1"))
    spec = TINY.server(make_case("tiny", model="o/m", hardware="h100", tensor_parallel=2, engine=engine))
    assert Path(spec.argv[0]).name == "tiny"
    assert spec.argv[1:] == ("serve", "o/m", "127.0.0.1", "{port}", "--rev", "abc", "--a-b", "1", "-x")
    assert (spec.launcher, spec.image, spec.entrypoint, spec.container) == ("process", None, None, Container())
    assert (spec.gpus, spec.share, spec.ready_timeout_s) == (2, HostShare(cpus="0-1"), 5.0)


def test_a_container_gets_the_models_folder_beside_the_suites_volumes(make_case: Make, tmp_path: Path) -> None:
    own = Container(volumes=(Volume(source="/a", target="/b"),), ports="network")
    engine = spec_of("tiny", launcher="docker", container=own)
    spec = TINY.server(make_case("tiny", model=str(tmp_path), engine=engine))
    model = f"/models/{tmp_path.name}"
    assert spec.argv == (model, HOST_IN_CONTAINER, "{port}")
    assert spec.image == "tiny:1"
    assert spec.container.volumes == (*own.volumes, Volume(source=str(tmp_path.resolve()), target=model, mode="ro"))
    assert (spec.container.ports, spec.container.shm_size_bytes) == ("network", SHM_BYTES)


def test_shared_memory_is_as_large_as_the_suite_says(make_case: Make, tmp_path: Path) -> None:
    engine = spec_of("tiny", image="i", container=Container(shm_size_bytes=5))
    assert TINY.server(make_case("tiny", model=str(tmp_path), engine=engine)).container.shm_size_bytes == 5


def test_offline_is_an_environment_that_the_suite_can_still_change(make_case: Make, cached: Callable[..., Path]) -> None:
    cached("o/m", {})
    engine = spec_of("tiny", offline=True, env=(("TRANSFORMERS_OFFLINE", "0"),))
    assert TINY.server(make_case("tiny", model="o/m", engine=engine)).env == (
        *(("HF_HUB_OFFLINE", "1"), ("TRANSFORMERS_OFFLINE", "0")),
    )


def test_a_model_that_must_be_downloaded_has_more_time(make_case: Make, cached: Callable[..., Path]) -> None:
    assert TINY.server(make_case("tiny", model="o/m")).ready_timeout_s == 3600.0
    cached("o/m", {})
    assert TINY.server(make_case("tiny", model="o/m")).ready_timeout_s == 600.0


def test_a_missing_program_says_what_to_install(bin_folder: Path) -> None:
    (bin_folder / "tiny").unlink()
    with pytest.raises(EngineError) as error:
        TINY.found()
    assert str(error.value) == "the command 'tiny' is not on this machine; install it: get it"


def test_the_program_beside_this_python_goes_before_the_one_on_path(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "tiny").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(other))
    assert command("tiny", "") == str(bin_folder / "tiny")
    (bin_folder / "tiny").unlink()
    assert command("tiny", "") == str(other / "tiny")


@pytest.mark.parametrize(
    ("recipe", "fields", "message"),
    [
        (TINY, {"revision": "x"}, ""),
        (Recipe(name="t", title="T", program=(), words=words, pins=False), {"revision": "x"}, "engine.revision: T cannot be"),
        (Recipe(name="t", title="T", program=(), words=words), {"launcher": "docker"}, "engine.image: T has no image of its"),
        (Recipe(name="t", title="T", program=(), words=words), {}, "T runs in containers only: name its image, or write"),
    ],
)
def test_what_an_engine_cannot_is_said(
    make_case: Make, tmp_path: Path, recipe: Recipe, fields: dict[str, object], message: str
) -> None:
    case = make_case("t", model=str(tmp_path), engine=spec_of("t", **fields))
    if not message:
        recipe.server(case)
        return
    with pytest.raises((ConfigError, EngineError)) as error:
        recipe.server(case)
    assert str(error.value).startswith(message)


def test_an_engine_that_spreads_no_model_says_so(make_case: Make, tmp_path: Path) -> None:
    recipe = Recipe(name="t", title="T", program=(), words=words, spreads=False, image="i")
    with pytest.raises(ConfigError) as error:
        recipe.server(make_case("t", model=str(tmp_path), tensor_parallel=2, engine=spec_of("t", launcher="docker")))
    assert str(error.value) == "tensor_parallel: t serves with tensor_parallel 1, not 2"


def test_the_suites_variables_replace_the_recipes() -> None:
    assert over((("A", "1"), ("B", "1")), (("B", "2"),)) == (("A", "1"), ("B", "2"))


@pytest.mark.parametrize("recipe", SHIPPED, ids=lambda recipe: recipe.name)
def test_every_recipe_makes_a_server_in_a_container(recipe: Recipe, make_case: Make, tmp_path: Path, hub_cache: Path) -> None:
    engine = spec_of(recipe.name, launcher="docker", image="mine:1")
    case = make_case(recipe.name, model="o/m", hardware="h100", tensor_parallel=2 if recipe.spreads else 1, engine=engine)
    spec = recipe.server(case)
    assert any("{port}" in text for text in (*spec.argv, *(value for _, value in spec.env)))
    assert (spec.launcher, spec.image, spec.gpus) == ("docker", "mine:1", case.tensor_parallel)
    assert "127.0.0.1" not in " ".join((*spec.argv, *(value for _, value in spec.env)))
    assert spec.ready_path.startswith("/")
    assert "CUDA_VISIBLE_DEVICES" not in dict(spec.env)


@pytest.mark.parametrize("recipe", SHIPPED, ids=lambda recipe: recipe.name)
def test_no_recipe_lets_a_suite_say_again_what_it_says_itself(
    recipe: Recipe, make_case: Make, tmp_path: Path, hub_cache: Path
) -> None:
    engine = spec_of(recipe.name, image="mine:1")
    spec = recipe.server(make_case(recipe.name, model="o/m", engine=engine))
    said = {word.lstrip("-").replace("_", "-") for word in spec.argv if word.startswith("--")}
    assert said <= recipe.reserved.keys()
